"""One keeper for each installation: a lock that its process holds for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.wire import HostLayout


def prepare(layout: HostLayout) -> None:
    """Make the keeper's directories, for its user alone.

    Raises:
        KeeperFault: `denied`: one of them belongs to somebody else.
    """
    for path in (layout.run, layout.var, *(layout.slot_run(name) for name in ("a", "b"))):
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
    private = Path(layout.run)
    if private.stat().st_uid != os.getuid():
        raise KeeperFault("denied", f"{private} belongs to another user")
    private.chmod(0o700)


def acquire(layout: HostLayout, wait_s: float = 90.0) -> int:
    """Take the lock and write the pid; returns the descriptor that holds it.

    A keeper that ends has removed its socket already: that one is waited for.

    Raises:
        KeeperFault: `busy`: another keeper holds it.
    """
    control, deadline = Path(f"{layout.run}/keeper.sock"), time.monotonic() + wait_s
    fd = os.open(f"{layout.run}/keeper.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while not _try_lock(fd):
        if control.exists() or time.monotonic() > deadline:
            os.close(fd)
            raise KeeperFault("busy", "another keeper runs already")
        time.sleep(0.02)
    Path(f"{layout.run}/keeper.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    return fd


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
