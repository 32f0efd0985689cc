"""Send files to a host: only what it lacks, from where the last cut left it, verified there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from aiconsole.bundle.tool import PYTHON, Tool, ToolCall, open_call
from aiconsole.errors import AiconsoleError, BusyError, CommandError, LinkLostError, TransferError
from aiconsole.onhost.wire import HostLayout, Upload, to_json
from aiconsole.session.protocol import Session

_CHUNK_BYTES = 256 * 1024
_STALE_S = 8.0
"""The receiver of a line that died silently holds its file for 5 s; then a new one gets it."""
_BUSY_RETRY_S = 0.5
_WINDOW_BYTES = 2 * 1024 * 1024
"""What sshd lets one channel have under way."""

Files: TypeAlias = Sequence[tuple[Upload, Path]]
Opening: TypeAlias = Callable[[bytes], AbstractAsyncContextManager[ToolCall]]


async def send_missing(
    session: Session,
    tool: Tool,
    layout: HostLayout,
    uploads: Files,
    *,
    sudo: bool = False,
    progress: Callable[[int], None] | None = None,
    python: str = PYTHON,
    opening: Opening | None = None,
) -> None:
    """Bring files into the uploads of a host; whoever calls again after a cut resumes.

    The largest file goes over a channel of its own: sshd's window lets each channel have 2 MB in
    one round trip and no more.

    Args:
        session: The way to the host.
        tool: What receives them there.
        layout: The installation's directories.
        uploads: What the host should have, and where it lies on this machine.
        sudo: Whether the login user must become root for this layout.
        progress: Called with the bytes of all files together that the host has written.
        python: The host's interpreter, where it is not the usual one.
        opening: Opens a call of `receive` with its request, where the caller has a way of its own.

    Raises:
        LinkLostError: The link died; what arrived stays on the host.
        BusyError: Another console is sending one of the files.
        TransferError: Disk full, read-only, another digest, or a file changed meanwhile.
        CommandError: The tool did not answer as it should.
    """
    wanted = list({upload.sha256: (upload, path) for upload, path in uploads}.values())
    if not wanted:
        return
    if opening is None:
        opening = partial(_open, session, tool, layout, sudo, python)
    channels = _channels(wanted)
    told = _Told(progress, len(channels))
    sends = [
        asyncio.create_task(_send(opening, session.host_name, layout, files, told.of(number)))
        for number, files in enumerate(channels)
    ]
    try:
        await asyncio.gather(*sends)
    except TransferError:
        await _end(sends)
        await _discard(opening, layout, wanted)
        raise
    finally:
        await _end(sends)


async def _end(sends: Sequence[asyncio.Task[None]]) -> None:
    for send in sends:
        send.cancel()
    await asyncio.gather(*sends, return_exceptions=True)


async def _discard(opening: Opening, layout: HostLayout, files: Files) -> None:
    """Leave no half of a file on a host that refused another one: a full disk needs the room.

    What cannot be removed now goes with the leavings of a later run.
    """
    with contextlib.suppress(AiconsoleError):
        async with opening(_request(layout, files, discard=True)) as talk:
            await talk.write_eof()
            while await talk.read() is not None:
                pass


def _channels(files: Files) -> list[Files]:
    """The files of each channel: the largest one, and the others if they are worth it."""
    ordered = sorted(files, key=lambda pair: pair[0].size_bytes, reverse=True)
    if sum(upload.size_bytes for upload, _ in ordered[1:]) < _WINDOW_BYTES:
        return [files]
    return [ordered[:1], ordered[1:]]


class _Told:
    """Adds up what the channels have brought, once each has said what was there before."""

    def __init__(self, progress: Callable[[int], None] | None, channels: int) -> None:
        self._progress = progress
        self._channels = channels
        self._bytes: dict[int, int] = {}

    def of(self, number: int) -> Callable[[int], None]:
        """The callback of one channel."""

        def tell(done_bytes: int) -> None:
            self._bytes[number] = done_bytes
            if self._progress is not None and len(self._bytes) == self._channels:
                self._progress(sum(self._bytes.values()))

        return tell


def _open(
    session: Session, tool: Tool, layout: HostLayout, sudo: bool, python: str, request: bytes
) -> AbstractAsyncContextManager[ToolCall]:
    return open_call(session, tool, layout, "receive", stdin=request, sudo=sudo, python=python)


async def _send(
    opening: Opening, host: str, layout: HostLayout, files: Files, progress: Callable[[int], None]
) -> None:
    """Send the files of one channel; waits for a receiver that a dead line left behind."""
    deadline = time.monotonic() + _STALE_S
    while True:
        try:
            async with opening(_request(layout, files)) as talk:
                await _Sending(talk, host, files, progress).finish()
            return
        except BusyError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_BUSY_RETRY_S)


def _request(layout: HostLayout, files: Files, *, discard: bool = False) -> bytes:
    uploads = [to_json(upload) for upload, _ in files]
    request = {"layout": to_json(layout), "uploads": uploads, "discard": discard}
    return json.dumps(request).encode() + b"\n"


class _Sending:
    """One call of `receive`: bytes go out while the host's answers come in."""

    def __init__(
        self, talk: ToolCall, host: str, files: Files, progress: Callable[[int], None] | None
    ) -> None:
        self._talk = talk
        self._host = host
        self._files = files
        self._progress = progress
        self._verified: set[str] = set()

    async def finish(self) -> None:
        """Send everything and wait until the host has verified it."""
        offsets = self._offsets(await self._talk.read())
        self._tell(sum(offsets))
        listening = asyncio.create_task(self._listen())
        try:
            await self._write(offsets, listening)
            await listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        if missing := {upload.sha256 for upload, _ in self._files} - self._verified:
            raise CommandError(
                f"{self._host} did not confirm what was sent",
                f"{len(missing)} of {len(self._files)} files, first {min(missing)[:12]}…",
            )

    async def _write(self, offsets: Sequence[int], listening: asyncio.Task[None]) -> None:
        for (upload, path), offset in zip(self._files, offsets, strict=True):
            async with aclosing(_chunks(upload, path, offset)) as chunks:
                async for chunk in chunks:
                    try:
                        await self._talk.write(chunk)
                    except LinkLostError:
                        raise
                    except AiconsoleError as error:
                        # The tool's own words about its end say more than a broken pipe.
                        raise (await _fault_of(listening) or error) from error
        await self._talk.write_eof()

    async def _listen(self) -> None:
        async for line in self._talk:
            if isinstance(received := line.get("received"), int):
                self._tell(received)
            if isinstance(sha256 := line.get("verified"), str):
                self._verified.add(sha256)
        self._tell(sum(upload.size_bytes for upload, _ in self._files))

    def _offsets(self, line: dict[str, Any] | None) -> list[int]:
        """What the host has of each file, checked: it decides what is read from disk here."""
        given = (line or {}).get("offsets")
        sizes = [upload.size_bytes for upload, _ in self._files]
        if (
            not isinstance(given, list)
            or len(given) != len(sizes)
            or not all(
                type(n) is int and 0 <= n <= size for n, size in zip(given, sizes, strict=True)
            )
        ):
            raise CommandError(
                f"The tool's answer from {self._host} cannot be read",
                f"expected the offsets of {len(sizes)} files",
            )
        return given

    def _tell(self, done_bytes: int) -> None:
        if self._progress is not None:
            self._progress(done_bytes)


async def _chunks(upload: Upload, path: Path, offset: int) -> AsyncGenerator[bytes, None]:
    """The file's bytes from `offset`; exactly as many as were promised."""
    left = upload.size_bytes - offset
    if not left:
        return
    try:
        with await asyncio.to_thread(path.open, "rb", 0) as file:
            file.seek(offset)
            while left:
                chunk = await asyncio.to_thread(file.read, min(left, _CHUNK_BYTES))
                if not chunk:
                    raise TransferError(
                        f"{path.name} became shorter while it was sent",
                        f"{path}: {left} bytes are missing",
                        "Wait until the file is complete, and try again",
                    )
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise TransferError(
            f"{path.name} cannot be read", f"{path}: {error.strerror or error}"
        ) from error


async def _fault_of(listening: asyncio.Task[None]) -> AiconsoleError | None:
    """The error that ended the listening; it ends soon, for the tool has ended."""
    await asyncio.wait({listening}, timeout=2.0)
    if listening.done() and not listening.cancelled():
        error = listening.exception()
        return error if isinstance(error, AiconsoleError) else None
    return None
