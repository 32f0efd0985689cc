"""Install locked packages for a host into a directory, with uv."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import uv

from aiconsole.bundle.platform import Platform
from aiconsole.errors import BundleError

Say = Callable[[str], None]
"""Called with one line of progress, in plain words."""

LOCKS = Path(__file__).parent / "locks"
_KEPT_LINES = 12


async def install(lock: Path, platform: Platform, target: Path, say: Say) -> None:
    """Install every package of `lock` into `target`.

    What uv has in its cache needs no network. Only wheels whose hashes stand in the lock are
    taken, so that it makes no difference from where they come.

    Raises:
        BundleError: No uv, no network, no wheel for the platform, or another hash.
    """
    argv = _argv(lock, platform, target)
    if (await _uv([*argv, "--offline"], target, lambda line: None))[0] == 0:
        return
    say(f"Download the packages of {lock.stem}")
    status, lines = await _uv(argv, target, say)
    if status != 0:
        raise _explain(lock, platform, lines)


def _argv(lock: Path, platform: Platform, target: Path) -> list[str]:
    try:
        binary = uv.find_uv_bin()
    except FileNotFoundError as error:
        raise BundleError(
            "uv is not installed beside aiconsole", str(error).strip(), "pip install uv"
        ) from error
    return [
        binary, "pip", "install", "--target", str(target), "--python", sys.executable,
        "--python-version", platform.python, "--python-platform", platform.wheel_platform,
        "--only-binary", ":all:", "--no-deps", "--require-hashes", "--no-compile-bytecode",
        "--requirement", str(lock),
    ]  # fmt: skip


async def _uv(argv: list[str], target: Path, say: Say) -> tuple[int, list[str]]:
    """Run uv; returns its exit status and its last lines. A cancelled caller ends it."""
    environment = {**os.environ, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    environment.pop("VIRTUAL_ENV", None)
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=target.parent,  # so that no pyproject.toml of the operator's directory is obeyed
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        while line := await process.stderr.readline():
            if text := line.decode("utf-8", "replace").strip():
                lines.append(text)
                if text.startswith(("Downloading", "Downloaded", "Prepared", "Installed")):
                    say(text)
        return await process.wait(), list(lines)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _explain(lock: Path, platform: Platform, lines: list[str]) -> BundleError:
    said = "\n".join(lines) or "uv said nothing"
    lower = said.lower()
    if "hash mismatch" in lower or "hashes" in lower:
        title = "A package is not the one that was locked"
        hint = f"Look at {lock}: it may be damaged, or a mirror serves other files"
    elif "no wheels" in lower or "has no usable wheels" in lower or "no solution" in lower:
        title = f"A package has no build for {platform}"
        hint = "Install another Python on the host, or use a host of a common kind"
    elif any(word in lower for word in ("fetch", "dns", "connect", "network", "timed out")):
        title = "The packages could not be downloaded"
        hint = "This machine needs the Internet once (or a mirror, by UV_DEFAULT_INDEX)"
    else:
        title, hint = f"The layer {lock.stem} could not be built", "Read what uv said"
    return BundleError(title, said, hint)
