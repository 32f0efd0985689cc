"""Changes of files that survive a power cut: written beside, fsynced, renamed."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def owner_ids(owner: str) -> tuple[int, int]:
    """The user's uid and primary gid; (-1, -1), which chown leaves alone, for an empty name.

    Raises:
        KeyError: No such user.
    """
    if not owner:
        return -1, -1
    entry = pwd.getpwnam(owner)
    return entry.pw_uid, entry.pw_gid


def sync_directory(path: Path) -> None:
    """Make what was created, renamed or removed in the directory survive a power cut."""
    with directory(path) as fd:
        os.fsync(fd)


@contextlib.contextmanager
def directory(path: Path) -> Iterator[int]:
    """An open descriptor of a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def write_file(
    path: Path, content: bytes, mode: int, *, ids: tuple[int, int] = (-1, -1), beside: str = "new"
) -> None:
    """Replace the file atomically: a reader sees the old content or the new one, never a part.

    Args:
        path: The file; a symbolic link there is replaced, not followed.
        content: All of it.
        mode: Permission bits; the file has no others at any moment.
        ids: uid and gid; -1 keeps the process's own.
        beside: Suffix of the temporary name, so that a caller can find a leftover.
    """
    temporary = leftover(path, beside)
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(fd, *ids)
            os.fchmod(fd, mode)
            os.fsync(fd)
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def leftover(path: Path, beside: str) -> Path:
    """The temporary name that `write_file` uses for `path`."""
    return path.with_name(f".{path.name}.{beside}")


def write_json(path: Path, value: Any, mode: int = 0o600) -> None:
    """Replace a JSON file atomically."""
    write_file(path, json.dumps(value).encode() + b"\n", mode)


def remove_file(path: Path) -> bool:
    """Remove a file or link for good; True where there was one."""
    if not os.path.lexists(path):
        # Asked first: on a read-only disk even the removal of nothing fails.
        return False
    path.unlink()
    sync_directory(path.parent)
    return True


def private_directory(path: Path) -> Path:
    """Make the directory 0700, and its missing parents 0755; returns it."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path
