"""Learns of ended children, once each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable


class Reaper:
    """Calls back with the exit status of each watched child, after its group is gone."""

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[int], None]] = {}

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen for SIGCHLD."""
        loop.add_signal_handler(signal.SIGCHLD, self.reap)

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended` with 0 to 255, or minus the signal, when the child has ended."""
        self._watched[pid] = ended

    def reap(self) -> None:
        """Collect every watched child that has ended by now."""
        for pid in tuple(self._watched):
            if _has_ended(pid):
                ended = self._watched.pop(pid)
                ended(_collect(pid))


def _has_ended(pid: int) -> bool:
    try:
        info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return info is not None


def _collect(pid: int) -> int:
    # While the child is a zombie its number cannot be given to a stranger's group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return 255
    return os.waitstatus_to_exitcode(status)
