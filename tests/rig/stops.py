"""Holds the runner of a host still at every line of its journal, so that a fault hits its step."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from tests.rig import cgroup
from tests.rig.execute import RigError
from tests.rig.machine import Machine
from tests.rig.preload import preloaded

_PATIENCE_S = 60.0
_VERBS = ("run", "settle")


class Stops:
    """The stops of one host: wait for the next, go on, or kill at it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def wait(self) -> int:
        """Wait until a runner stands still; returns its process id on this machine.

        Raises:
            RigError: None does for a minute.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            for pid in self._runners():
                if _state(pid) == "T":
                    return pid
            time.sleep(0.005)
        raise RigError(f"no runner of {self._machine.name} stands still")

    def go(self) -> None:
        """Wait for the stop and let the runner write its next line."""
        os.kill(self.wait(), signal.SIGCONT)

    def kill(self) -> None:
        """Kill -9 the runner where it stands."""
        os.kill(self.wait(), signal.SIGKILL)

    def _runners(self) -> list[int]:
        return [pid for pid in cgroup.processes(self._machine.group / "box") if _is_runner(pid)]


@contextmanager
def stops(machine: Machine) -> Iterator[Stops]:
    """Let runners that start within the block stop after each line of their journal."""
    with preloaded(machine, "stops", 'STOP_AFTER="/journal.jsonl"'):
        held = Stops(machine)
        try:
            yield held
        finally:
            for pid in held._runners():
                os.kill(pid, signal.SIGCONT)


def _is_runner(pid: int) -> bool:
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:  # ended meanwhile
        return False
    return any(name.endswith(".pyz") and verb in _VERBS for name, verb in pairwise(argv))


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # ended meanwhile
        return ""
