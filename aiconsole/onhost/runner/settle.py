"""Ends a run whose runner died: what it had begun is taken back. Idempotent."""

from __future__ import annotations

import signal
from pathlib import Path

from aiconsole.onhost.runner.execute import changed, finish, teller
from aiconsole.onhost.runner.journal import Journal, end_of
from aiconsole.onhost.runner.lock import hold
from aiconsole.onhost.runner.record import RunRecord, read_record
from aiconsole.onhost.runner.steps.kind import Context
from aiconsole.onhost.runner.takeback import is_complete, take_back
from aiconsole.onhost.wire import RunOutcome


def settle(run_dir: Path, tool_path: str, wait_s: float = 30.0) -> None:
    """Bring a run without an end to one; does nothing where it has ended.

    Raises:
        LockHeld: Its runner lives, or somebody else settles it for longer than `wait_s`.
        Fault: There is no such run.
    """
    record = read_record(run_dir)
    if end_of(record.journal_path):
        return
    plan = record.plan
    with hold(plan.layout, plan.lock, run_id=plan.run_id, operator=plan.operator, wait_s=wait_s):
        _settle_held(record, tool_path)


def _settle_held(record: RunRecord, tool_path: str) -> None:
    plan = record.plan
    # The undo itself must not be cut short by a second cancel or by the end of a connection.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    with Journal(record.journal_path) as journal:
        events = journal.events
        if end_of(record.journal_path):
            return
        if not events:
            journal.write("run-started", text=plan.title, data={"operator": plan.operator})
            finish(record, journal, "undone", "The runner did not start; nothing was done")
            return
        if is_complete(plan.steps, events):
            outcome: RunOutcome = "done" if changed(plan.steps, events) else "unchanged"
            finish(record, journal, outcome, "Done; the runner was killed at its very end")
            return
        context = Context(
            plan.layout, plan.run_id, record.directory, tool_path, teller(journal, "")
        )
        why = "The runner was killed: taking back what was done"
        if take_back(record, journal, context, why):
            outcome = "cancelled" if record.cancel_path.exists() else "undone"
            finish(record, journal, outcome, "The runner was killed; the host is as before")
        else:
            finish(record, journal, "broken", "Not everything could be taken back after a kill")
