"""A host in a temporary directory, and what tests do to it."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import signal
import stat
import tarfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from aiconsole.onhost.runner.check import check
from aiconsole.onhost.runner.execute import execute
from aiconsole.onhost.runner.journal import read_events
from aiconsole.onhost.runner.lock import hold
from aiconsole.onhost.runner.record import RunRecord, create
from aiconsole.onhost.runner.secrets import store_secrets
from aiconsole.onhost.runner.steps.kind import Context
from aiconsole.onhost.wire import (
    HostLayout,
    Plan,
    RunEvent,
    Step,
    StepCheck,
)

OWN = ("var/runs", "var/locks", "var/ledger.jsonl")
"""What a run leaves of itself; not part of the state that it changes."""


class Place:
    """The host of one test."""

    def __init__(self, root: Path) -> None:
        self.root = root / "host"
        self.root.mkdir()
        base = str(self.root)
        self.layout = HostLayout(
            "keeper", f"{base}/opt", f"{base}/var", f"{base}/run", f"{base}/etc"
        )
        for directory in ("opt/layers", "var/models", "var/uploads", "run", "etc"):
            (self.root / directory).mkdir(parents=True)
        self._runs = 0

    def plan(self, *steps: Step, run_id: str = "") -> Plan:
        """A plan with these steps and an id of its own."""
        self._runs += 1
        run_id = run_id or f"run-{self._runs}"
        return Plan(run_id, "Try it", "inferd", self.layout, steps, "ann@desk")

    def context(self, *planned: str) -> Context:
        """What a check gets."""
        return Context(self.layout, "r", self.root / "var/runs/r", planned=frozenset(planned))

    def upload(self, content: bytes) -> tuple[str, str]:
        """Lay an upload down; returns its path and digest."""
        digest = hashlib.sha256(content).hexdigest()
        path = Path(self.layout.upload(digest))
        path.write_bytes(content)
        return str(path), digest

    def run(self, plan: Plan, secrets: dict[str, str] | None = None) -> list[RunEvent]:
        """Execute a plan in a process of its own, as on a host; returns its journal."""
        record = self.accept(plan, secrets)
        in_child(lambda: execute(record.directory, ""))
        return list(read_events(record.journal_path))

    def accept(self, plan: Plan, secrets: dict[str, str] | None = None) -> RunRecord:
        """Lay a run down without executing it."""
        record = create(plan)
        store_secrets(record, secrets or {})
        return record

    def check(self, *steps: Step) -> tuple[StepCheck, ...]:
        """Check a plan of these steps."""
        return check(self.plan(*steps)).steps

    def snapshot(self) -> dict[str, object]:
        """Everything on the host but what runs leave: content, modes, owners, links."""
        found: dict[str, object] = {}
        for parent, directories, files in os.walk(self.root):
            for name in (*directories, *files):
                path = Path(parent, name)
                key = str(path.relative_to(self.root))
                if not key.startswith(OWN):
                    found[key] = _seen(path)
        return found


def _seen(path: Path) -> object:
    now = path.lstat()
    if stat.S_ISLNK(now.st_mode):
        return ("link", str(path.readlink()))
    owner = (stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid)
    return (*owner, "dir" if path.is_dir() else path.read_bytes())


def kinds(events: Sequence[RunEvent]) -> list[str]:
    """Kind and step of each event, progress left out."""
    return [f"{e.kind} {e.step_id}".strip() for e in events if e.kind != "step-progress"]


def outcome(events: Sequence[RunEvent]) -> str:
    """How the run ended; empty where it has no end."""
    return events[-1].outcome if events else ""


def tar_gz(*members: tuple[str, bytes | str | tarfile.TarInfo]) -> bytes:
    """An archive: bytes make a file, text a symbolic link to it, a TarInfo goes in as it is."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, what in members:
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(what, bytes):
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))
                continue
            if isinstance(what, str):
                info.type, info.linkname = tarfile.SYMTYPE, what
            archive.addfile(info)
    return gzip.compress(packed.getvalue(), mtime=0)


def in_child(work: Callable[[], object]) -> int:
    """Do it in a forked process; returns its wait status (0: fine, 9: it was killed)."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - told, and then seen in the status
            traceback.print_exc()
        finally:
            os._exit(status)
    _, wait_status = os.waitpid(child, 0)
    return wait_status


def hold_for_ever(plan: Plan, work: Callable[[], object] = lambda: None) -> NoReturn:
    """In a forked child: be the runner of a plan, do the work, and wait for a signal."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Whoever looks at the lock holds it for a moment.
        with hold(plan.layout, plan.lock, run_id=plan.run_id, operator="ann", wait_s=10.0):
            work()
            signal.pause()
    finally:
        os._exit(1)


def killed(wait_status: int) -> bool:
    """True where kill -9 ended the child."""
    return os.WIFSIGNALED(wait_status) and os.WTERMSIG(wait_status) == signal.SIGKILL


def named(step: Step, step_id: str) -> Step:
    """The same step under another id."""
    return replace(step, id=step_id)
