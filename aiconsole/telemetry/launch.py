"""Bring the probe to life on a host and hand over the stream of its lines."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiconsole.bundle.cache import Layer
from aiconsole.bundle.platform import Platform
from aiconsole.errors import CommandError
from aiconsole.session.command import Command
from aiconsole.session.local import LocalSession
from aiconsole.session.protocol import Process, Session
from aiconsole.telemetry.shelf import Shelf
from aiconsole.telemetry.stub import STUB
from aiconsole.visible import visible

_HELLO_S = 30.0
"""A host under memory pressure may take this long to start Python."""
_CHUNK_BYTES = 256 * 1024
_STALLED_S = 60.0
_NOISE_LINES = 50
"""What a login shell may print before the stub has its say."""
_LINE_BYTES = 64 * 1024


@asynccontextmanager
async def launched(
    session: Session, shelf: Shelf, options: Sequence[str], python: str = "python3"
) -> AsyncIterator[Process]:
    """Run the probe on a host; its stdout gives frames. Leaving the context ends it.

    Args:
        session: The way to the host.
        shelf: Where the layers come from.
        options: Arguments of the probe.
        python: The host's interpreter.

    Raises:
        HostError: The link died.
        CommandError: The host cannot run it; the error says why.
        BundleError: There are no layers for such a host.
    """
    if isinstance(session, LocalSession):
        # The console's own environment has all that the probe needs.
        argv = (sys.executable, "-I", "-m", "aiconsole.onhost.probe", *options)
        async with session.open(Command(argv, timeout_s=None)) as process:
            yield process
        return
    command = Command((python, "-I", "-c", STUB), timeout_s=None)
    async with session.open(command) as process:
        await _settle(process, session.host_name, shelf, options)
        yield process


async def _settle(process: Process, host_name: str, shelf: Shelf, options: Sequence[str]) -> None:
    """Play the console's part of the stub's dialogue, up to its `ready`."""
    hello = await _hear(process, host_name, "hello")
    platform = _platform(hello)
    layers = {layer.sha256: layer for layer in await shelf.layers(platform)}
    order = {
        "layers": [{"sha256": a.sha256, "size_bytes": a.size_bytes} for a in layers.values()],
        "argv": list(options),
    }
    await process.write(json.dumps(order).encode() + b"\n")
    need = (await _hear(process, host_name, "need"))["need"]
    for sha256 in need if isinstance(need, list) else ():
        if sha256 not in layers:
            raise _not_understood(host_name, f"it wants a layer {visible(str(sha256))[:80]}")
        try:
            await _send(process, host_name, layers[sha256])
        except CommandError:
            # It stopped reading because it failed: its own words say more.
            await _hear(process, host_name, "ready")
            raise
    await _hear(process, host_name, "ready")


async def _send(process: Process, host_name: str, layer: Layer) -> None:
    with layer.archive.open("rb") as archive:
        while chunk := await asyncio.to_thread(archive.read, _CHUNK_BYTES):
            try:
                async with asyncio.timeout(_STALLED_S):
                    await process.write(chunk)
            except TimeoutError as error:
                raise CommandError(
                    f"{host_name} takes no more data", f"none for {_STALLED_S:g} s"
                ) from error


async def _hear(process: Process, host_name: str, key: str) -> dict[str, Any]:
    """Read the stub's next line, past what a login shell prints before it."""
    heard = ""
    try:
        async with asyncio.timeout(_HELLO_S):
            for _ in range(_NOISE_LINES):
                line = await process.readline(_LINE_BYTES)
                if not line:
                    raise await _ended(process, host_name, heard)
                heard = visible(line.decode("utf-8", "replace").strip())
                value = _object(line)
                if "fault" in value:
                    raise CommandError(
                        f"The probe cannot run on {host_name}",
                        visible(str(value["fault"]))[:500],
                        visible(str(value.get("hint", "")))[:200],
                    )
                if key in value:
                    return value
    except TimeoutError as error:
        raise CommandError(
            f"Python on {host_name} does not start", f"no answer within {_HELLO_S:g} s"
        ) from error
    raise _not_understood(host_name, heard[:200])


async def _ended(process: Process, host_name: str, heard: str) -> CommandError:
    done = await process.wait()
    if done.exit_status == 127:
        return CommandError(
            f"{host_name} has no python3", "the probe needs Python 3.10 or newer",
            "Install it there: apt-get install python3",
        )  # fmt: skip
    words = visible(done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2])
    detail = f"exit status {done.exit_status}: {(words or heard)[:300]}"
    return CommandError(f"The probe does not start on {host_name}", detail)


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _platform(hello: dict[str, Any]) -> Platform:
    def word(key: str) -> str:
        return visible(str(hello.get(key, "")))[:40]

    return Platform(word("machine"), word("python"), word("glibc"))


def _not_understood(host_name: str, seen: str) -> CommandError:
    return CommandError(f"What {host_name} says is not understood", seen)
