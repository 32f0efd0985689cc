"""Unpacks an archive of unknown origin: nothing of it may land outside its directory.

tarfile's own `filter="data"` is missing from the Python of Debian 12 (3.11.2), and it follows
symbolic links by their names. Here every parent of a member is a real directory
that this extraction made, and a link may climb only from where it really lies.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zlib
from pathlib import Path
from typing import Protocol

_MOST_MEMBERS = 500_000
_CHUNK_BYTES = 1024 * 1024


class ArchiveError(Exception):
    """The archive is damaged, or holds what no layer holds."""


class Readable(Protocol):
    """All that tarfile needs of a stream."""

    def read(self, count: int, /) -> bytes:
        """Up to `count` bytes; empty at the end."""


def extract(stream: Readable, into: Path, most_bytes: int) -> None:
    """Unpack a tar.gz into an empty directory, read-only in the end.

    Args:
        stream: The compressed archive.
        into: An empty directory.
        most_bytes: What was announced; an archive that unpacks to more is refused.

    Raises:
        ArchiveError: Damaged, larger than announced, or with a member that is refused.
    """
    made = _Extraction(into, most_bytes)
    try:
        with tarfile.open(fileobj=stream, mode="r|gz") as archive:  # type: ignore[call-overload]
            for member in archive:
                made.add(archive, member)
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise ArchiveError(f"the archive is damaged: {error}") from error
    made.close()


class _Extraction:
    """What one archive has laid down so far."""

    def __init__(self, into: Path, most_bytes: int) -> None:
        self._into = into
        self._left_bytes = most_bytes
        self._members = 0
        self._directories: set[tuple[str, ...]] = {()}
        """Made by this extraction, so surely no links."""

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Lay down one member, or refuse it."""
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise ArchiveError(f"it has more than {_MOST_MEMBERS} members")
        parts = _parts(member.name)
        if member.isdir():
            self._directory(parts)
            return
        if not parts:
            raise ArchiveError(f"{member.name!r} would replace the directory itself")
        self._directory(parts[:-1])
        path = self._into.joinpath(*parts)
        try:
            if member.issym():
                path.symlink_to(_inner_target(parts, member.linkname))
            elif member.islnk():
                self._hard_link(path, member)
            elif member.isreg() and not member.issparse():
                self._file(archive, member, path)
            else:
                raise ArchiveError(f"{member.name!r} is neither a file, a directory nor a link")
        except FileExistsError:
            raise ArchiveError(f"{member.name!r} is in it twice") from None

    def close(self) -> None:
        """Make the directories read-only; the top one stays writable for the caller."""
        for parts in self._directories:
            if parts:
                self._into.joinpath(*parts).chmod(0o555)

    def _directory(self, parts: tuple[str, ...]) -> None:
        for length in range(1, len(parts) + 1):
            upper = parts[:length]
            if upper in self._directories:
                continue
            try:
                self._into.joinpath(*upper).mkdir(mode=0o700)
            except FileExistsError:
                raise ArchiveError(f"{'/'.join(upper)!r} is in it twice") from None
            self._directories.add(upper)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        self._left_bytes -= member.size
        if self._left_bytes < 0:
            raise ArchiveError("it unpacks to more than was announced")
        source = archive.extractfile(member)
        assert source is not None, "tarfile opens every regular member"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "wb") as target:
            left = member.size
            while left:
                chunk = source.read(min(left, _CHUNK_BYTES))
                if not chunk:
                    raise ArchiveError(f"the archive is damaged: {member.name!r} is cut short")
                target.write(chunk)
                left -= len(chunk)
            os.fchmod(fd, 0o555 if member.mode & stat.S_IXUSR else 0o444)

    def _hard_link(self, path: Path, member: tarfile.TarInfo) -> None:
        parts = _parts(member.linkname)
        target = self._into.joinpath(*parts)
        inside = parts and parts[:-1] in self._directories
        if not inside or not target.exists() or not stat.S_ISREG(target.lstat().st_mode):
            raise ArchiveError(f"{member.name!r} links to {member.linkname!r}, no file of it")
        os.link(target, path, follow_symlinks=False)


def _parts(name: str) -> tuple[str, ...]:
    """The components of a member's name.

    Raises:
        ArchiveError: It is absolute, climbs, or has a NUL byte.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise ArchiveError(f"{name!r} lies outside the archive's directory")
    return parts


def _inner_target(parts: tuple[str, ...], target: str) -> str:
    """The target of a symbolic link, if it stays inside.

    `..` counts only at its beginning: after a name it would climb from wherever that name leads.

    Raises:
        ArchiveError: It is absolute, climbs out, or climbs after a name.
    """
    steps = [step for step in target.split("/") if step not in ("", ".")]
    climbs = next((i for i, step in enumerate(steps) if step != ".."), len(steps))
    outside = target.startswith("/") or climbs > len(parts) - 1 or ".." in steps[climbs:]
    if outside or not target or "\0" in target:
        raise ArchiveError(f"{'/'.join(parts)!r} links to {target!r}, outside of its directory")
    return target
