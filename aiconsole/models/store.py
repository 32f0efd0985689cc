"""Where the files of the catalogue lie, named by their digests, and how they get there."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from aiconsole import paths
from aiconsole.bundle.digest import file_sha256
from aiconsole.errors import ModelError
from aiconsole.models.version import Version
from aiconsole.units import bytes_text

Placed: TypeAlias = Literal["shared", "linked", "copied", "moved", "in-place", "held"]
"""How a file came into the store. `shared`: a copy that takes no space (reflink); `linked`: the
same file under two names; `held`: it was there."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is done, bytes done, and bytes in all (0 where nobody knows)."""

SPARE_BYTES = 64_000_000
"""Room that is left on the disk for everything else."""

_FICLONE = 0x40049409
_CHUNK_BYTES = 8 * 1024 * 1024
_REPORT_BYTES = 64 * 1024 * 1024


class Store:
    """The directory of the catalogue: `files`, `incoming` (on their way), `damaged`."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or paths.data_dir() / "models"
        self.files = self.directory / "files"
        self.incoming = self.directory / "incoming"
        self.damaged = self.directory / "damaged"

    def make(self) -> None:
        """Make its directories where they are missing.

        Raises:
            OSError: They cannot be made.
        """
        for folder in (self.directory, self.files, self.incoming, self.damaged):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, version: Version) -> Path:
        """Where a version's file lies."""
        return Path(version.in_place) if version.in_place else self.held(version.sha256)

    def held(self, sha256: str) -> Path:
        """Where the store's own file of a digest lies."""
        return self.files / f"{sha256}.gguf"

    async def bring(
        self, file: Path, sha256: str, progress: Progress, *, move: bool = False
    ) -> tuple[Path, Placed]:
        """Bring a file beside its place in the store; `place` puts it there.

        Args:
            file: A whole file of that digest.
            sha256: Its digest.
            progress: Told while it is copied.
            move: Take it away from where it is; it must lie in `incoming`.

        Raises:
            ModelError: The disk has too little space, or the file cannot be read.
        """
        if move:
            return file, "moved"
        # A process of the same number may run in another container over this directory.
        ready = self.incoming / f"{sha256}.{os.getpid()}-{os.urandom(4).hex()}.ready"
        try:
            if await asyncio.to_thread(_share, file, ready):
                return ready, "shared"
            if await asyncio.to_thread(_link, file, ready):
                return ready, "linked"
            total_bytes = (await asyncio.to_thread(file.stat)).st_size
            refuse_full_disk(self.incoming, total_bytes)
            await _copy(file, ready, total_bytes, progress)
            await _compare(ready, sha256, progress)
        except OSError as error:
            ready.unlink(missing_ok=True)
            raise disk_error(error, ready) from error
        except BaseException:
            ready.unlink(missing_ok=True)
            raise
        return ready, "copied"

    def place(self, ready: Path, sha256: str) -> Path:
        """Give a file that `bring` has prepared its place; call it under the index's lock."""
        target = self.held(sha256)
        ready.replace(target)
        _sync_directory(target.parent)
        return target

    def set_aside(self, version: Version) -> Path | None:
        """Move the store's file of a version to `damaged`; None for one that is not the store's."""
        file = self.path(version)
        if version.in_place or not file.exists():
            return None
        aside = self.damaged / file.name
        file.replace(aside)
        return aside

    def is_ours(self, file: Path) -> bool:
        """True for a file that the catalogue may delete."""
        return file.parent in (self.files, self.incoming, self.damaged)


def refuse_full_disk(folder: Path, needed_bytes: int) -> None:
    """Look at the free space before it is used up.

    Raises:
        ModelError: It is too little.
    """
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes + SPARE_BYTES > free_bytes:
        raise ModelError(
            "There is too little space for the model",
            f"{bytes_text(needed_bytes)} are needed (and {bytes_text(SPARE_BYTES)} to spare), "
            f"{bytes_text(free_bytes)} are free at {folder}",
            "Free space: `aiconsole models prune` removes versions that nothing needs",
        )


def disk_error(error: OSError, file: Path) -> ModelError:
    """The error of a file that cannot be read or written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return ModelError(
        "The disk is full" if full else "The model's file cannot be read or written",
        f"{error.filename or file}: {error.strerror or error}",
        "Free space: `aiconsole models prune` removes versions that nothing needs" if full else "",
    )


def freed_bytes(file: Path) -> int:
    """Space that deleting a file gives back: none while it has another name."""
    try:
        status = file.stat()
    except OSError:
        return 0
    return 0 if status.st_nlink > 1 else status.st_blocks * 512


def _share(file: Path, ready: Path) -> bool:
    """Have the filesystem share the blocks, where it can: a later change of one leaves the other.

    btrfs, XFS and bcachefs do.
    """
    with file.open("rb") as source, ready.open("xb") as target:
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError:
            ready.unlink()
            return False
    return True


def _link(file: Path, ready: Path) -> bool:
    try:
        os.link(file.resolve(), ready)
    except OSError:
        # Another filesystem, one without links, or a file of another user.
        return False
    return True


async def _copy(file: Path, ready: Path, total_bytes: int, progress: Progress) -> None:
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def report(done_bytes: int) -> None:
        loop.call_soon_threadsafe(progress, "Copy", done_bytes, total_bytes)

    def work() -> None:
        done_bytes = reported_bytes = 0
        with file.open("rb", 0) as source, ready.open("xb") as target:
            while (chunk := source.read(_CHUNK_BYTES)) and not stop.is_set():
                target.write(chunk)
                done_bytes += len(chunk)
                if done_bytes - reported_bytes >= _REPORT_BYTES:
                    report(done_bytes)
                    reported_bytes = done_bytes
            target.flush()
            os.fsync(target.fileno())

    try:
        await asyncio.to_thread(work)
    finally:
        stop.set()


async def _compare(copy: Path, sha256: str, progress: Progress) -> None:
    """Read a copy back: memory and disks of a machine may be bad."""
    found = await file_sha256(copy, lambda done, total: progress("Compare", done, total), anew=True)
    if found != sha256:
        raise ModelError(
            "The copy differs from the file",
            f"{copy} has the sha256 {found}, expected {sha256}",
            "The file changed while it was copied, or memory or disk of this machine are bad",
        )


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
