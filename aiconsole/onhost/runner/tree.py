"""Whole directory trees: removed so that no half of one is left under its name, and synced."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import stat
from pathlib import Path

from aiconsole.onhost.runner.durable import directory, sync_directory


def remove_tree(path: Path, beside: str) -> bool:
    """Remove a tree, read-only or not; True where there was one.

    It is renamed first: a tree whose name says what it holds is there whole or not at all.
    """
    trash = path.with_name(f".{path.name}.trash-{beside}")
    discard(trash)
    try:
        path.rename(trash)
    except FileNotFoundError:
        return False
    sync_directory(path.parent)
    discard(trash)
    return True


def discard(path: Path) -> None:
    """Remove a tree whose name means nothing; a missing one is fine."""
    if path.is_symlink() or not path.is_dir():
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return
    for parent, _, _ in os.walk(path):
        # An ordinary user cannot remove entries of a read-only directory.
        Path(parent).chmod(0o700)
    shutil.rmtree(path)


def sync_tree(path: Path) -> None:
    """Wait until the filesystem that holds the tree has written it all.

    One syncfs costs far less than an fsync for each of thousands of files.
    """
    with directory(path) as fd:
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "syncfs"):
            os.sync()
        elif libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))


def tree_bytes(path: Path) -> int:
    """Sum of the sizes of the regular files below."""
    total = 0
    for parent, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                entry = Path(parent, name).lstat()
                total += entry.st_size if stat.S_ISREG(entry.st_mode) else 0
    return total
