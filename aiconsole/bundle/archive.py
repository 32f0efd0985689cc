"""Pack a tree so that the same files always give the same bytes.

Order, times, owners and modes are fixed, so that the archive's digest names its content.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LEVEL = 6
"""Measured on the engine's tree of 106 MB (packing / unpacking by tarfile, CPU seconds):

    gzip-1  37.4 MB  0.9 / 0.37     xz-0  28.4 MB   4.0 / 1.26
    gzip-6  33.9 MB  2.7 / 0.33     xz-2  26.8 MB   8.7 / 1.17
    gzip-9  33.8 MB 10.3 / 0.32     xz-6  24.4 MB  39.3 / 1.21

xz-2 saves the time it costs only on lines under about 8 Mbit/s, and the engine is sent once.
"""
_BLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Packed:
    """What came out of packing a tree."""

    sha256: str
    """Of the archive."""
    size_bytes: int
    """Of the archive."""
    unpacked_bytes: int
    """Disk space of the tree, in whole blocks."""


def pack(tree: Path, archive: Path) -> Packed:
    """Write `tree` as a tar.gz.

    Raises:
        OSError: A file cannot be read, or the archive cannot be written.
        ValueError: The tree holds something that is neither a file nor a directory.
    """
    with archive.open("wb") as file:
        digest = _Digesting(file)
        with (
            gzip.GzipFile("", "wb", _LEVEL, digest, mtime=0) as squeezed,
            tarfile.open(fileobj=squeezed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        ):
            unpacked_bytes = sum(_add(tar, tree, path) for path in sorted(tree.rglob("*")))
    return Packed(digest.sha256, digest.size_bytes, unpacked_bytes)


def _add(tar: tarfile.TarFile, tree: Path, path: Path) -> int:
    """Add one member with everything but name, content and the x bit fixed."""
    member = tarfile.TarInfo(str(path.relative_to(tree)))
    if path.is_dir() and not path.is_symlink():
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
        return _BLOCK_BYTES
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{member.name} is neither a file nor a directory")
    status = path.stat()
    member.size = status.st_size
    member.mode = 0o755 if status.st_mode & 0o100 else 0o644
    with path.open("rb") as content:
        tar.addfile(member, content)
    return -(-status.st_size // _BLOCK_BYTES) * _BLOCK_BYTES


class _Digesting:
    """A file that knows the digest of what was written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size_bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()
