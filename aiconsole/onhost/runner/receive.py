"""Takes uploads in: resumed where a cut left them, verified, and only then under their name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from aiconsole.onhost.runner.durable import private_directory, sync_directory
from aiconsole.onhost.runner.faults import Fault, fault_of
from aiconsole.onhost.runner.lines import emit, read_request, stdin
from aiconsole.onhost.runner.space import SLACK_BYTES, free_bytes, human
from aiconsole.onhost.runner.validate import check_layout, check_sha256, read_line
from aiconsole.onhost.wire import HostLayout, Upload, from_json

_CHUNK_BYTES = 256 * 1024
_TELL_EACH_S = 0.2
_STALLED_S = 5.0
"""An upload that got nothing for so long lost its console: the next one takes it over."""

_ENDING_S = 3.0
"""What a receiver takes at most to end after its console has closed the line."""


def receive() -> None:
    """The verb: see `docs/ARCHITECTURE.md`.

    Raises:
        Fault: The disk is full, read-only or another's; a digest differs; the link was cut.
    """
    request = read_line(read_request(), "the request")
    layout, uploads = _read_uploads(request)
    if request.get("discard") is True:
        emit({"discarded": sum(_discard(layout, upload) for upload in uploads)})
        return
    private_directory(Path(layout.upload("x")).parent)
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(_Part(layout, upload)) for upload in uploads]
        missing = sum(part.upload.size_bytes - part.offset for part in parts)
        free = free_bytes(Path(layout.var))
        if missing and free < missing + SLACK_BYTES:
            raise Fault(
                "disk-full",
                f"{layout.var} has {human(free)} free, the uploads need {human(missing)}",
                "Free space there, or move the directory to a larger disk.",
            )
        emit({"offsets": [part.offset for part in parts]})
        progress = _Progress(parts)
        for part in parts:
            part.take(stdin(), progress)
            emit({"verified": part.upload.sha256})


def _read_uploads(request: Any) -> tuple[HostLayout, list[Upload]]:
    if not isinstance(request, dict) or not isinstance(request.get("uploads"), list):
        raise Fault("bad-plan", "the request has no list of uploads")
    layout = check_layout(from_json(HostLayout, request.get("layout")))
    uploads = [from_json(Upload, item) for item in request["uploads"]]
    for upload in uploads:
        check_sha256(upload.sha256, "upload")
        if upload.size_bytes < 0:
            raise Fault("bad-plan", f"upload {upload.sha256}: its size is negative")
    if len({upload.sha256 for upload in uploads}) != len(uploads):
        raise Fault("bad-plan", "an upload is named twice")
    return layout, uploads


def _discard(layout: HostLayout, upload: Upload) -> bool:
    """Remove the half of an upload that nobody will resume; True where there was one.

    Its receiver may be about to end: it is given a moment. One that goes on belongs to another
    console, and keeps its file.
    """
    path = Path(layout.upload(upload.sha256) + ".part")
    deadline = time.monotonic() + _ENDING_S
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            if _lock(fd):
                path.unlink(missing_ok=True)
                _pid_file(path).unlink(missing_ok=True)
                return True
        finally:
            os.close(fd)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)


class _Progress:
    """Tells at most 5 times a second how many bytes of all uploads are on the host."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts
        self._done_bytes = sum(part.offset for part in parts)
        self._told_at = time.monotonic()

    def add(self, count: int) -> None:
        """Count bytes that arrived; 0 for work that takes time but brings none."""
        self._done_bytes += count
        if time.monotonic() - self._told_at >= _TELL_EACH_S:
            self._told_at = time.monotonic()
            for part in self._parts:
                part.stays()
            emit({"received": self._done_bytes})


class _Part:
    """One upload on its way: `<sha256>.part`, locked while it arrives."""

    def __init__(self, layout: HostLayout, upload: Upload) -> None:
        self.upload = upload
        self._final = Path(layout.upload(upload.sha256))
        self._path = self._final.with_name(self._final.name + ".part")
        self._fd = -1
        self.offset = 0
        """Bytes that are here; the console sends the rest."""

    def __enter__(self) -> _Part:
        size = self.upload.size_bytes
        if self._final.is_file() and self._final.stat().st_size == size:
            self.offset = size
            return self
        try:
            self._fd = _open_alone(self._path)
        except OSError as error:
            raise fault_of(error) from error
        self.offset = os.fstat(self._fd).st_size
        if self.offset > size:
            os.ftruncate(self._fd, 0)
            self.offset = 0
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            _pid_file(self._path).unlink(missing_ok=True)
            if os.fstat(self._fd).st_size == 0 and _is_at(self._path, self._fd):
                # Nothing came for it: there is nothing to resume.
                self._path.unlink()
            os.close(self._fd)

    def stays(self) -> None:
        """Show that its console is there, while others of its files are on their way."""
        if self._fd >= 0:
            os.utime(self._fd)

    def take(self, source: BinaryIO, progress: _Progress) -> None:
        """Read the rest from `source`, verify the whole, and give it its name.

        Raises:
            Fault: `cut`: what came is kept. Any other: what came is removed.
        """
        if self._fd < 0:
            return
        try:
            digest = self._digest_so_far(progress)
            for chunk in self._chunks(source):
                _write_all(self._fd, chunk)
                digest.update(chunk)
                progress.add(len(chunk))
            os.fsync(self._fd)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._path.unlink()
            raise self._told(error) from error
        if digest.hexdigest() != self.upload.sha256:
            self._path.unlink()
            raise Fault(
                "digest-mismatch",
                f"what arrived for {self.upload.sha256[:12]}… has another sha256",
                "It was removed; try again. If it happens twice, the file changed meanwhile.",
            )
        self._path.rename(self._final)
        sync_directory(self._final.parent)

    def _digest_so_far(self, progress: _Progress) -> Any:
        digest = hashlib.sha256()
        with open(self._path, "rb") as present:
            while chunk := present.read(4 * 1024 * 1024):
                digest.update(chunk)
                progress.add(0)
        os.lseek(self._fd, 0, os.SEEK_END)
        return digest

    def _chunks(self, source: BinaryIO) -> Iterator[bytes]:
        left = self.upload.size_bytes - self.offset
        while left:
            chunk = source.read1(min(left, _CHUNK_BYTES))  # type: ignore[attr-defined]
            if not chunk:
                os.fsync(self._fd)
                raise Fault("cut", f"the connection ended with {human(left)} to come")
            left -= len(chunk)
            yield chunk

    def _told(self, error: OSError) -> Fault:
        fault = fault_of(error)
        if fault.code == "disk-full":
            free = human(free_bytes(self._path.parent))
            text = f"{self._path.parent} is full ({free} free); the half upload was removed"
            return Fault("disk-full", text, fault.hint)
        return fault


def _write_all(fd: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _open_alone(path: Path) -> int:
    """Open the part for appending, with its lock; a receiver that stalled is ended first."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    pid_file = _pid_file(path)
    try:
        if not _lock(fd):
            if time.time() - os.fstat(fd).st_mtime < _STALLED_S:
                raise Fault(
                    "busy", f"another console is sending {path.stem[:12]}… to this host now",
                    "Wait until it is through: the file is not sent twice.",
                )  # fmt: skip
            _end_stalled(fd, pid_file)
        os.utime(fd)
        pid_file.write_text(json.dumps(os.getpid()))
        if not _is_at(path, fd):
            raise Fault("busy", f"another console finished {path.stem[:12]}… just now",
                        "Try again: the file is not sent twice.")  # fmt: skip
    except (OSError, Fault):
        os.close(fd)
        raise
    return fd


def _is_at(path: Path, fd: int) -> bool:
    """True while the open file still has this name."""
    try:
        return path.stat().st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


def _pid_file(part: Path) -> Path:
    """Where the receiver of a part leaves its pid, for one that may have to end it."""
    return part.with_name(part.name + ".pid")


def _end_stalled(fd: int, pid_file: Path) -> None:
    """End the receiver whose console is gone: it holds the lock, so its pid is surely its own."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
        os.kill(json.loads(pid_file.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + 3.0
    while not _lock(fd):
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(pid_file))
        time.sleep(0.02)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
