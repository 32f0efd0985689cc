"""Where audit lines end up: a descriptor that somebody reads, or a file of bounded size."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Protocol

_LOCK_S = 1.0
_LOCK_PAUSE_S = 0.02
_TRIES = 8


class Sink(Protocol):
    """Takes whole lines; used by one thread."""

    def write(self, data: bytes) -> None:
        """Write lines.

        Raises:
            SinkError: Some of them were not written.
        """

    def reopen(self) -> None:
        """Somebody may have put another file in place."""

    def close(self) -> None:
        """Nothing more comes."""


class SinkError(Exception):
    """Lines were not written.

    Attributes:
        lost: How many.
    """

    def __init__(self, lost: int, reason: str) -> None:
        super().__init__(reason)
        self.lost = lost


class Stdout:
    """What the service manager reads."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes) -> None:
        """Write it all, however long the reader takes."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            raise SinkError(_lines(view), error.strerror or str(error)) from error

    def reopen(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """It is not ours."""


class _HalfwayError(Exception):
    """Only so many bytes were written, all of them whole lines."""

    def __init__(self, written: int, reason: str) -> None:
        super().__init__(reason)
        self.written = written


class RotatedFile:
    """A file that is set aside at a size; any number of processes may write to the same path.

    Whoever writes holds the lock of the very file that lies at the path then. So a file is
    set aside once, by one process, and all others notice before their next line.
    """

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        """Open nothing yet.

        Args:
            path: The file at work; older ones are beside it as `path.1` and so on.
            max_bytes: Size at which it is set aside.
            keep: How many older ones are kept.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._fd = -1

    def write(self, data: bytes) -> None:
        """Append lines; a line that does not fit on the disk is not left there in half."""
        done = 0
        while done < len(data):
            end = self._end_of_piece(data, done)
            try:
                done += self._append(memoryview(data)[done:end])
            except _HalfwayError as error:
                self.close()
                lost = _lines(memoryview(data)[done + error.written :])
                raise SinkError(lost, f"{self._path}: {error}") from error

    def _end_of_piece(self, data: bytes, begin: int) -> int:
        """As many lines as one file may hold, and at least one."""
        if len(data) - begin <= self._max_bytes:
            return len(data)
        end = data.rfind(b"\n", begin, begin + self._max_bytes) + 1
        return end if end > begin else data.index(b"\n", begin) + 1

    def _append(self, lines: memoryview) -> int:
        """Write some lines into the file at the path; their size."""
        written = 0
        try:
            locked = self._settle(len(lines))
            size = os.fstat(self._fd).st_size
            try:
                while written < len(lines):
                    written += os.write(self._fd, lines[written:])
            except OSError:
                whole = bytes(lines[:written]).rfind(b"\n") + 1
                if locked and whole < written:  # else somebody may have written behind it
                    os.ftruncate(self._fd, size + whole)
                written = whole
                raise
            finally:
                if locked:
                    fcntl.flock(self._fd, fcntl.LOCK_UN)
        except OSError as error:
            raise _HalfwayError(written, error.strerror or str(error)) from error
        return written

    def reopen(self) -> None:
        """Open the path anew with the next line."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _settle(self, coming_bytes: int) -> bool:
        """Have the file at the path open, locked, and with room; False without the lock."""
        for _ in range(_TRIES):
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o600)
            if not self._lock():
                # Its holder is stuck. A line at the end of the wrong file is better than none.
                return False
            here = os.fstat(self._fd)
            if not self._is_at_path(here):
                self.close()
            elif here.st_size and here.st_size + coming_bytes > self._max_bytes:
                self._set_aside()
                self.close()
            else:
                return True
        raise OSError(errno.EAGAIN, "the file is replaced all the time")

    def _lock(self) -> bool:
        deadline = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_LOCK_PAUSE_S)
            else:
                return True

    def _is_at_path(self, here: os.stat_result) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    def _set_aside(self) -> None:
        """Move all files on by one; the caller holds the lock of the one at the path."""
        if not self._keep:
            self._path.unlink()
            return
        for number in range(self._keep - 1, 0, -1):
            try:
                self._aside(number).rename(self._aside(number + 1))
            except FileNotFoundError:
                continue
        self._path.rename(self._aside(1))

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _lines(view: memoryview) -> int:
    return bytes(view).count(b"\n")
