"""A slot's output in a file of bounded size, with one older file beside it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "-- aiconsole keeper:"
"""Starts the lines that the keeper itself writes into a slot's log."""


class Log:
    """The file that a slot's output is appended to.

    The slot writes into the file itself, not into a pipe of the keeper's, so that a slot which
    drains after its keeper was killed does not die of a closed pipe. The bound is kept by
    copying the end away and cutting the file, which is safe because it is opened for appending.
    """

    def __init__(self, path: str, limit_bytes: int = 1024 * 1024) -> None:
        self.path = Path(path)
        self.older = Path(f"{path}.1")
        self.limit_bytes = limit_bytes

    def open(self) -> int:
        """Open for appending; the caller closes the descriptor."""
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def mark(self, text: str) -> None:
        """Write a line of the keeper's own, with the time in it; a full disk takes none."""
        line = f"{MARK} {time.time():.3f} {text}\n".encode()
        with contextlib.suppress(OSError):
            fd = self.open()
            try:
                os.write(fd, line)
            finally:
                os.close(fd)

    def rotate(self) -> bool:
        """Move the end into the older file where the bound is passed."""
        try:
            size_bytes = self.path.stat().st_size
        except FileNotFoundError:
            return False
        if size_bytes <= self.limit_bytes:
            return False
        with self.path.open("rb+") as live:
            live.seek(-self.limit_bytes, os.SEEK_END)
            self.older.write_bytes(live.read(self.limit_bytes))
            live.truncate(0)
        self.older.chmod(0o600)
        return True


def read_log(path: str, lines: int, since_unix_s: float = 0.0) -> list[str]:
    """Return the last lines, at most `lines`, of starts that began at `since_unix_s` or later."""
    kept: list[str] = []
    fresh = since_unix_s <= 0
    for line in _lines(path):
        if line.startswith(MARK):
            fresh = fresh or _marked_at(line) >= since_unix_s
        if fresh:
            kept.append(line)
    return kept[-lines:] if lines > 0 else []


def last_words(path: str, lines: int = 20) -> list[str]:
    """Return the last lines that the newest start of a slot wrote, without the keeper's own."""
    said: list[str] = []
    for line in _lines(path):
        if line.startswith(MARK):
            said = [] if " started " in line else said
        elif line.strip():
            said.append(line)
    return said[-lines:]


def _lines(path: str) -> Iterator[str]:
    for name in (f"{path}.1", path):
        try:
            with Path(name).open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    yield line.rstrip("\n")
        except FileNotFoundError:
            continue


def _marked_at(line: str) -> float:
    try:
        return float(line[len(MARK) :].split()[0])
    except (IndexError, ValueError):
        return 0.0
