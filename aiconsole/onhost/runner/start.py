"""Starts a run, or says who is at work, and follows it."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.archive import spawn_settle, stored_tool
from aiconsole.onhost.runner.beat import beating
from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.runner.follow import START_GRACE_S, follow, not_settled
from aiconsole.onhost.runner.journal import end_of, read_events
from aiconsole.onhost.runner.launch import busy_fault, launch
from aiconsole.onhost.runner.lines import emit, read_request
from aiconsole.onhost.runner.lock import Holder, LockHeld, hold, holder_of
from aiconsole.onhost.runner.record import RunRecord, all_records, create
from aiconsole.onhost.runner.secrets import store_secrets
from aiconsole.onhost.runner.validate import read_line, read_plan
from aiconsole.onhost.wire import Plan


def start() -> None:
    """The verb: a plan and its secrets in, the events of its run out.

    A start of a run that this host has already is a start whose answer was lost: it is followed.

    Raises:
        Fault: `busy`, a plan that is none, or what kept the runner from being started.
    """
    plan, secrets = _read_start(read_line(read_request(), "the request"))
    tool_path = stored_tool(plan.layout)
    record = _known(plan)
    if record is None:
        with beating():
            _settle_earlier(plan, tool_path)
            record = _begin(plan, secrets, tool_path)
    emit({"started": plan.run_id})
    follow(record, 0, tool_path)


def _read_start(request: Any) -> tuple[Plan, dict[str, str]]:
    if not isinstance(request, dict) or "plan" not in request:
        raise Fault("bad-plan", "the request has no plan")
    secrets = request.get("secrets", {})
    texts = isinstance(secrets, dict) and all(isinstance(s, str) for s in secrets.values())
    if not texts:
        raise Fault("bad-plan", "the secrets of the request are not texts by name")
    return read_plan(request["plan"]), secrets


def _known(plan: Plan) -> RunRecord | None:
    """The run, where it has been launched before."""
    directory = Path(plan.layout.run_dir(plan.run_id))
    if not directory.is_dir():
        return None
    record = create(plan)
    begun = bool(read_events(record.journal_path)) or record.is_at_work()
    return record if begun else None


def _settle_earlier(plan: Plan, tool_path: str) -> None:
    """Take back what runs under this lock left when their runner died: never build upon a half.

    Raises:
        Fault: `busy` while one of them, or its undo, is at work.
    """
    for record in all_records(plan.layout):
        other = record.plan
        if other.lock != plan.lock or other.run_id == plan.run_id:
            continue
        if end_of(record.journal_path):
            continue
        if (holder := holder_of(plan.layout, plan.lock)) is not None:
            raise busy_fault(holder)
        _refuse_beginning(record)
        with spawn_settle(tool_path, record.directory):
            pass  # it is waited for
        if not end_of(record.journal_path):
            raise not_settled(record)
    if (holder := holder_of(plan.layout, plan.lock)) is not None:
        raise busy_fault(holder)


def _refuse_beginning(record: RunRecord) -> None:
    """Leave a run alone that another console is just starting: its runner has no lock yet.

    Raises:
        Fault: `busy`.
    """
    since_unix_s = record.laid_down_unix_s()
    begun = bool(read_events(record.journal_path))
    if not begun and 0 <= time.time() - since_unix_s < START_GRACE_S:
        plan = record.plan
        raise busy_fault(Holder(plan.run_id, plan.operator, since_unix_s, 0))


def _begin(plan: Plan, secrets: dict[str, str], tool_path: str) -> RunRecord:
    """Lay the run down and launch it; a run that could not be launched leaves no trace."""
    fresh = not Path(plan.layout.run_dir(plan.run_id)).exists()
    record = create(plan)
    try:
        store_secrets(record, secrets)
        launch(record, tool_path)
    except (Fault, OSError) as error:
        if isinstance(error, Fault) and error.data.get("run_id") == plan.run_id:
            return record  # launched by the call whose answer was lost
        if fresh:
            _remove(record, in_doubt=isinstance(error, Fault) and error.code == "no-runtime")
        raise
    return record


def _remove(record: RunRecord, *, in_doubt: bool) -> None:
    """Remove a run that was not launched.

    One that systemd or the keeper may have launched, without having answered in time, is
    removed only while its runner cannot begin: at work it needs its undo.
    """
    plan = record.plan
    if not in_doubt:
        shutil.rmtree(record.directory, ignore_errors=True)
        return
    with (
        contextlib.suppress(LockHeld, OSError),
        hold(plan.layout, plan.lock, run_id=plan.run_id, operator=plan.operator),
    ):
        if not read_events(record.journal_path):
            shutil.rmtree(record.directory, ignore_errors=True)
