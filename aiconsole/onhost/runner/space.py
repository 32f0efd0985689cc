"""Free space, as the runner's user may use it, and sizes as people read them."""

from __future__ import annotations

import os
from pathlib import Path

SLACK_BYTES = 16 * 1024 * 1024
"""Left free beyond what a step needs: block rounding, the journal, logs."""


def free_bytes(path: Path) -> int:
    """Free space of the filesystem on which `path` lies or would lie."""
    numbers = os.statvfs(existing(path))
    blocks = numbers.f_bfree if os.geteuid() == 0 else numbers.f_bavail
    return blocks * numbers.f_frsize


def existing(path: Path) -> Path:
    """The path itself, or its nearest parent that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def shortage(path: Path, needed_bytes: int) -> str:
    """One line where `needed_bytes` do not fit at `path`; empty where they do."""
    free = free_bytes(path)
    if free >= needed_bytes + SLACK_BYTES:
        return ""
    return (
        f"{existing(path)} has {human(free)} free, {human(needed_bytes + SLACK_BYTES)} are needed"
    )


def human(count: int) -> str:
    """A size in decimal units with three digits: `102 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
