"""Knowing a process again by its number and its start, across keepers."""

from __future__ import annotations

import contextlib
from pathlib import Path


def started_at(pid: int) -> str:
    """Return the start of a process in clock ticks since boot; empty if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The name in parentheses may hold anything; fields 3 and 22 count from after it.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[19]


def remember(path: str, pid: int) -> None:
    """Write who runs, for a keeper after this one; it does without where the disk is full."""
    with contextlib.suppress(OSError):
        Path(path).write_text(f"{pid} {started_at(pid)}\n", encoding="ascii")


def recall(path: str) -> int:
    """Return the pid of the remembered process if that very process still runs, else 0."""
    with contextlib.suppress(OSError, ValueError):
        pid, _, start = Path(path).read_text(encoding="ascii").strip().partition(" ")
        if start and started_at(int(pid)) == start:
            return int(pid)
    return 0


def forget(path: str) -> None:
    """Remove the memory of a process that ended."""
    Path(path).unlink(missing_ok=True)
