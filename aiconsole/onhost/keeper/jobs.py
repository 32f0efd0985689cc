"""The runs that the keeper executes: one at a time of each lock, told apart by its name."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiconsole.onhost.keeper import process
from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.keeper.reaper import Reaper
from aiconsole.onhost.keeper.spawn import Child, minimal_environment, spawn
from aiconsole.onhost.wire import HostLayout

_LOCK_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


@dataclass(frozen=True, slots=True)
class Job:
    """One run at work."""

    lock: str
    pid: int
    since_unix_s: float
    after: tuple[str, ...]
    """What runs when it has ended, however it ended, before its lock is free; may be empty."""


class Jobs:
    """Starts runs and holds their locks."""

    def __init__(self, layout: HostLayout, reaper: Reaper) -> None:
        self._run = Path(layout.run)
        self._reaper = reaper
        self._jobs: dict[str, Job] = {}

    @property
    def at_work(self) -> bool:
        """True while a run of this keeper goes on."""
        return bool(self._jobs)

    def as_json(self) -> list[dict[str, Any]]:
        """The jobs at work."""
        return [asdict(job) for job in self._jobs.values()]

    def adopt(self, jobs: list[dict[str, Any]]) -> None:
        """Take over the jobs of the process image before."""
        for fields in jobs:
            self._watch(Job(**{**fields, "after": tuple(fields["after"])}))

    def start(self, lock: str, argv: Sequence[str], after: Sequence[str]) -> int:
        """Start a program under a lock; returns its pid.

        It outlives the keeper: a run must come to its end.

        Raises:
            KeeperFault: `busy`: the lock is held; `bad-request`: a name or program is none.
        """
        if not _LOCK_NAME.fullmatch(lock):
            raise KeeperFault("bad-request", f"{lock!r} is no name of a lock")
        for program in (argv, *([after] if after else [])):
            if not program or not os.access(program[0], os.X_OK):
                raise KeeperFault("bad-request", f"not a program: {list(program)[:1]}")
        if holder := self._holder(lock):
            raise KeeperFault("busy", f"a run holds {lock} (pid {holder})")
        return self._launch(lock, argv, tuple(after), os.O_TRUNC)

    def cancel(self, lock: str) -> None:
        """Ask the run to stop and to take back what it did.

        Raises:
            KeeperFault: `not-found`: no run holds the lock.
        """
        holder = self._holder(lock)
        if not holder:
            raise KeeperFault("not-found", f"no run holds {lock}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder, signal.SIGTERM)

    def _holder(self, lock: str) -> int:
        if lock in self._jobs:
            return self._jobs[lock].pid
        return process.recall(self._pid_file(lock))

    def _launch(self, lock: str, argv: Sequence[str], after: tuple[str, ...], how: int) -> int:
        log = self._run / f"run-{lock}.log"
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | how, 0o600)
        try:
            child = Child(argv, minimal_environment(), output, dies_with_keeper=False)
            pid = spawn(child)
        finally:
            os.close(output)
        process.remember(self._pid_file(lock), pid)
        self._watch(Job(lock, pid, time.time(), after))
        self._reaper.reap()
        return pid

    def _watch(self, job: Job) -> None:
        self._jobs[job.lock] = job
        self._reaper.watch(job.pid, lambda _status: self._ended(job))

    def _ended(self, job: Job) -> None:
        del self._jobs[job.lock]
        process.forget(self._pid_file(job.lock))
        if job.after:
            self._launch(job.lock, job.after, (), 0)

    def _pid_file(self, lock: str) -> str:
        return str(self._run / f"run-{lock}.pid")
