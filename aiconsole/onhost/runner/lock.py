"""The lock of a run on its host: one holder of a name at a time, gone with its process.

The name of the systemd unit keeps a second run away already; this lock does the same
where there is no systemd, and tells everybody else who is at work.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from aiconsole.onhost.runner.durable import private_directory
from aiconsole.onhost.wire import HostLayout, WireError, from_json

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock."""

    run_id: str
    operator: str
    since_unix_s: float
    pid: int
    """Of the runner, or of who settles a run whose runner died."""


class LockHeld(Exception):  # noqa: N818 - a state, which callers tell in their own words
    """Somebody else holds the lock."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(holder.run_id)
        self.holder = holder


def lock_path(layout: HostLayout, lock: str) -> Path:
    """The file that is locked."""
    return Path(layout.var) / "locks" / f"{lock}.lock"


@contextlib.contextmanager
def hold(
    layout: HostLayout, lock: str, *, run_id: str, operator: str, wait_s: float = 0.0
) -> Iterator[None]:
    """Hold the lock for the length of a `with`.

    Raises:
        LockHeld: Another process held it for all of `wait_s`.
    """
    path = lock_path(layout, lock)
    private_directory(path.parent)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    try:
        while not _try_flock(fd, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                raise LockHeld(_read_holder(fd))
            time.sleep(_POLL_S)
        me = Holder(run_id, operator, time.time(), os.getpid())
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(asdict(me)).encode(), 0)
        yield
    finally:
        os.close(fd)


def holder_of(layout: HostLayout, lock: str) -> Holder | None:
    """Who holds the lock now; None where it is free. Changes nothing on the host."""
    try:
        fd = os.open(lock_path(layout, lock), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        for _ in range(5):
            if _try_flock(fd, fcntl.LOCK_SH):
                return None
            holder = _read_holder(fd)
            if holder.run_id:
                return holder
            time.sleep(_POLL_S)
        return holder
    finally:
        os.close(fd)


def _try_flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(fd: int) -> Holder:
    """What the holder wrote; a nameless one in the moment before it has written."""
    try:
        return from_json(Holder, json.loads(os.pread(fd, 65536, 0)))
    except (WireError, ValueError):
        return Holder("", "", 0.0, 0)
