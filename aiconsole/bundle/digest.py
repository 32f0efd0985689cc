"""The sha256 of large files, remembered as long as the file does not change."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiconsole import paths

_CHUNK_BYTES = 4 * 1024 * 1024
_REPORT_BYTES = 64 * 1024 * 1024
_MAX_KNOWN = 200


async def file_sha256(
    path: Path, progress: Callable[[int, int], None] | None = None, *, anew: bool = False
) -> str:
    """Digest a file in a thread, unless this very file was digested before.

    Args:
        path: An ordinary file.
        progress: Called in the event loop with bytes done and in all.
        anew: Read it even if its digest is known: bytes on a disk may go bad by themselves.

    Raises:
        OSError: It cannot be read.
    """
    identity = _identity(path)
    known = await asyncio.to_thread(_load)
    found = known.get(str(path))
    if not anew and isinstance(found, list) and found[:-1] == identity:
        return str(found[-1])
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def report(done_bytes: int) -> None:
        if progress is not None:
            loop.call_soon_threadsafe(progress, done_bytes, identity[0])

    try:
        sha256 = await asyncio.to_thread(_digest, path, report, stop)
    finally:
        stop.set()  # a cancelled caller leaves no thread reading 40 GB
    if _identity(path) == identity:
        await asyncio.to_thread(_store, str(path), [*identity, sha256])
    return sha256


async def remember_sha256(path: Path, sha256: str) -> None:
    """Note the digest of a file whose bytes were just read under another name.

    Raises:
        OSError: It is gone, or the note cannot be written.
    """
    await asyncio.to_thread(lambda: _store(str(path), [*_identity(path), sha256]))


def _digest(path: Path, report: Callable[[int], None], stop: threading.Event) -> str:
    digest, done_bytes, reported_bytes = hashlib.sha256(), 0, 0
    with path.open("rb", buffering=0) as file:
        while (chunk := file.read(_CHUNK_BYTES)) and not stop.is_set():
            digest.update(chunk)
            done_bytes += len(chunk)
            if done_bytes - reported_bytes >= _REPORT_BYTES:
                report(done_bytes)
                reported_bytes = done_bytes
    return digest.hexdigest()


def _identity(path: Path) -> list[int]:
    """What changes with a file's content: size, time of change, inode, device."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev]


def _file() -> Path:
    return paths.state_dir() / "digests.json"


def _load() -> dict[str, Any]:
    """What is remembered; a damaged file counts as empty, it can be made anew."""
    try:
        known = json.loads(_file().read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _store(path: str, entry: list[Any]) -> None:
    known = _load()
    known.pop(path, None)
    known[path] = entry
    kept = dict(list(known.items())[-_MAX_KNOWN:])
    paths.write_atomic(_file(), json.dumps(kept).encode())
