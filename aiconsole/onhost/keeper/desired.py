"""What should run, kept on disk so that the next keeper takes it up."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Desired:
    """The content of `<var>/keeper.json`."""

    address: str = ""
    """Where to listen; empty for nowhere."""
    slot: str = ""
    """The slot that a new keeper starts; empty for none."""


def load(path: str) -> Desired:
    """Read it; a missing or damaged file wants nothing."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        wanted = Desired(str(document["address"]), str(document["slot"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Desired()
    return wanted if wanted.slot in ("", "a", "b") else Desired()


def save(path: str, desired: Desired) -> None:
    """Replace the file; after a power cut it holds the old or the new content."""
    fresh = Path(f"{path}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, (json.dumps(asdict(desired)) + "\n").encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(path)
    _sync_directory(Path(path).parent)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
