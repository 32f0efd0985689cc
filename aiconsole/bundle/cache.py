"""The layers that this console has built, kept for the next deploy."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from aiconsole import paths

_MAX_BYTES = 1024**3
_MAX_AGE_S = 60 * 86400
_FRESH_S = 86400
"""What another console used within a day may be on its way to a host right now."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A packed tree of files for one kind of host."""

    name: str
    """`code`, `gateway`, `engine` or `probe`."""
    sha256: str
    """Of the archive: the layer's identity on every host."""
    archive: Path
    """The tar.gz on this machine."""
    size_bytes: int
    """Of the archive."""
    unpacked_bytes: int
    """Disk space of the unpacked tree."""


def directory() -> Path:
    """Where layers lie, created where it is missing."""
    path = paths.cache_dir() / "layers"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def find(key: str) -> Layer | None:
    """The layer that was built under this key, if its archive is still whole."""
    note = directory() / f"{key}.json"
    try:
        known = json.loads(note.read_bytes())
        layer = Layer(
            str(known["name"]),
            str(known["sha256"]),
            archive_path(str(known["sha256"])),
            int(known["size_bytes"]),
            int(known["unpacked_bytes"]),
        )
        with layer.archive.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != layer.sha256:
                return None
        note.touch()
        layer.archive.touch()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return layer


def archive_path(sha256: str) -> Path:
    """Where the archive of this digest lies."""
    return directory() / f"{sha256}.tar.gz"


def remember(key: str, layer: Layer) -> None:
    """Note that building `key` again would give this layer."""
    note = {
        "name": layer.name,
        "sha256": layer.sha256,
        "size_bytes": layer.size_bytes,
        "unpacked_bytes": layer.unpacked_bytes,
    }
    paths.write_atomic(directory() / f"{key}.json", json.dumps(note).encode())


def prune(
    keep: Collection[str] = (), *, max_bytes: int = _MAX_BYTES, max_age_s: float = _MAX_AGE_S
) -> list[str]:
    """Remove old archives, the longest unused first; returns their digests.

    Never removed are the digests of `keep` and what was used within the last day.
    """
    now = time.time()
    found = []
    for path in directory().glob("*.tar.gz"):
        with suppress(FileNotFoundError):  # another console prunes too
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    total_bytes = sum(size for _, size, _ in found)
    removed = []
    for used_unix_s, size_bytes, path in sorted(found):
        sha256 = path.name.removesuffix(".tar.gz")
        if sha256 in keep or now - used_unix_s < _FRESH_S:
            continue
        if now - used_unix_s > max_age_s or total_bytes > max_bytes:
            path.unlink(missing_ok=True)
            total_bytes -= size_bytes
            removed.append(sha256)
    _sweep(now)
    return removed


def _sweep(now: float) -> None:
    """Remove notes without an archive, and what a build left that was killed."""
    for note in directory().glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not archive_path(str(json.loads(note.read_bytes())["sha256"])).exists():
                note.unlink(missing_ok=True)
    for left in directory().glob("building-*"):
        with suppress(FileNotFoundError):
            if now - left.stat().st_mtime > _FRESH_S:
                rmtree(left, ignore_errors=True)
