"""A run as it lies on the host: its directory, its plan, its journal."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiconsole.onhost.runner.durable import private_directory, sync_directory, write_json
from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.runner.journal import BALLAST, BALLAST_BYTES, edges
from aiconsole.onhost.runner.lock import holder_of
from aiconsole.onhost.runner.validate import check_name, read_plan
from aiconsole.onhost.wire import HostLayout, Plan, RunSummary, WireError, to_json


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run that was accepted on this host."""

    directory: Path
    plan: Plan

    @property
    def journal_path(self) -> Path:
        """The journal; may not exist yet."""
        return self.directory / "journal.jsonl"

    @property
    def cancel_path(self) -> Path:
        """Exists once somebody asked to cancel, so that a runner that is just starting sees it."""
        return self.directory / "cancel"

    def laid_down_unix_s(self) -> float:
        """When the plan came to this host; 0 where the run was removed meanwhile."""
        return _born(self.directory)[0]

    def is_at_work(self) -> bool:
        """True while a runner, or somebody who settles it, holds the lock for this run."""
        holder = holder_of(self.plan.layout, self.plan.lock)
        return holder is not None and holder.run_id == self.plan.run_id

    def summary(self) -> RunSummary:
        """The run in one line."""
        at_work = self.is_at_work()
        events = edges(self.journal_path)
        end = events[-1] if events and events[-1].kind == "run-finished" else None
        started = events[0].at_unix_s if events else self.laid_down_unix_s()
        return RunSummary(
            self.plan.run_id, self.plan.title, self.plan.lock, self.plan.operator, started,
            end.at_unix_s if end else 0.0,
            end.outcome if end else "running" if at_work else "interrupted",
        )  # fmt: skip


def create(plan: Plan) -> RunRecord:
    """Lay down the directory of a new run, whole or not at all.

    Raises:
        Fault: `bad-plan` where a run of this id exists with another plan.
    """
    final = Path(plan.layout.run_dir(plan.run_id))
    if final.is_dir():
        record = read_record(final)
        if record.plan != plan:
            raise Fault("bad-plan", f"a run {plan.run_id} with another plan exists on this host")
        return record
    runs = private_directory(final.parent)
    draft = runs / f".new-{plan.run_id}-{os.getpid()}"
    try:
        _draw_up(draft, plan)
        draft.rename(final)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return create(plan)  # another call with the same plan was faster
    sync_directory(runs)
    return RunRecord(final, plan)


def _draw_up(draft: Path, plan: Plan) -> None:
    for directory in (draft, draft / "undo", draft / "secrets"):
        directory.mkdir(mode=0o700)
    write_json(draft / "plan.json", to_json(plan))
    with open(draft / BALLAST, "wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, BALLAST_BYTES)


def read_record(directory: Path) -> RunRecord:
    """Read a run back.

    Raises:
        Fault: `not-found` where there is none, `bad-plan` where its plan is damaged.
    """
    try:
        text = (directory / "plan.json").read_text()
    except (FileNotFoundError, NotADirectoryError):
        raise Fault("not-found", f"there is no run {directory.name} on this host") from None
    try:
        return RunRecord(directory, read_plan(json.loads(text)))
    except (WireError, ValueError) as error:
        raise Fault("bad-plan", f"{directory}/plan.json: {error}") from None


def find(layout: HostLayout, run_id: str) -> RunRecord:
    """The run of that id.

    Raises:
        Fault: `not-found`, or `bad-plan` where the id is no name or its plan is damaged.
    """
    return read_record(Path(layout.run_dir(check_name(run_id, "RUN_ID"))))


def all_records(layout: HostLayout) -> Iterator[RunRecord]:
    """Every readable run of the host, the newest first."""
    runs = Path(layout.run_dir("x")).parent
    if not runs.is_dir():
        return
    directories = [entry for entry in runs.iterdir() if not entry.name.startswith(".")]
    for directory in sorted(directories, key=_born, reverse=True):
        try:
            yield read_record(directory)
        except Fault:
            continue  # another version's plan, or not a run: not ours to list


def _born(directory: Path) -> tuple[float, str]:
    """By the time at which the plan was laid down, which nothing touches later."""
    try:
        return (directory / "plan.json").stat().st_mtime, directory.name
    except OSError:
        return 0.0, directory.name
