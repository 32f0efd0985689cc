"""Executes a plan: each step checked, its undo saved, applied; on failure all taken back."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from aiconsole.onhost.runner import ledger
from aiconsole.onhost.runner.cancel import Cancel, Cancelled
from aiconsole.onhost.runner.durable import write_json
from aiconsole.onhost.runner.faults import fault_of
from aiconsole.onhost.runner.journal import Journal
from aiconsole.onhost.runner.lock import hold
from aiconsole.onhost.runner.record import RunRecord, read_record
from aiconsole.onhost.runner.registry import kind_of
from aiconsole.onhost.runner.secrets import drop_secrets
from aiconsole.onhost.runner.steps.kind import Context, Say, StepError
from aiconsole.onhost.runner.takeback import take_back
from aiconsole.onhost.wire import LOOKS_ONLY, EventKind, PruneStep, RunEvent, RunOutcome, Step

_LOCK_WAIT_S = 10.0
"""Somebody may look at the lock, or settle the run before, for a moment."""
_PROGRESS_EACH_S = 0.2


def execute(run_dir: Path, tool_path: str) -> RunOutcome | None:
    """Run the plan of a run directory to its end, or undo it.

    Returns:
        The outcome; None where the journal shows that the run has been at work before.

    Raises:
        LockHeld: Another run holds the lock.
    """
    record = read_record(run_dir)
    plan = record.plan
    cancel = Cancel()
    signal.signal(signal.SIGTERM, lambda number, frame: _request(cancel, number, frame))
    held = hold(
        plan.layout, plan.lock, run_id=plan.run_id, operator=plan.operator, wait_s=_LOCK_WAIT_S
    )
    with held, Journal(record.journal_path) as journal:
        if journal.events:
            return None
        if record.cancel_path.exists():
            cancel.request()
        journal.write("run-started", text=plan.title, data={"operator": plan.operator})
        context = Context(plan.layout, plan.run_id, run_dir, tool_path, teller(journal, ""), cancel)
        outcome, text = _through(record, journal, context)
        finish(record, journal, outcome, text)
        return outcome


def finish(record: RunRecord, journal: Journal, outcome: RunOutcome, text: str) -> None:
    """Write the end of a run; secrets are gone and the ledger knows of it before.

    What undos need may hold a secret of before. It stays only where somebody has to look into it.
    """
    drop_secrets(record.directory)
    if outcome != "broken":
        shutil.rmtree(record.directory / "undo", ignore_errors=True)
    journal.free_ballast()
    ledger.append(record.plan, journal.events, outcome)
    journal.write("run-finished", text=text, outcome=outcome)


def teller(journal: Journal, step_id: str) -> Say:
    """A `Say` that writes progress of one step, mere byte counts at most 5 times a second."""
    last_at = 0.0

    def say(
        text: str = "",
        done_bytes: int = 0,
        total_bytes: int = 0,
        data: dict[str, Any] | None = None,
    ) -> None:
        nonlocal last_at
        at_end = 0 < total_bytes == done_bytes
        if not (text or data or at_end) and time.monotonic() - last_at < _PROGRESS_EACH_S:
            return
        last_at = time.monotonic()
        journal.write(
            "step-progress",
            step_id,
            text,
            done_bytes=done_bytes,
            total_bytes=total_bytes,
            data=data,
        )

    return say


def _request(cancel: Cancel, number: int, frame: FrameType | None) -> None:
    cancel.request()


def _through(record: RunRecord, journal: Journal, context: Context) -> tuple[RunOutcome, str]:
    """All steps, and the way back where one of them fails or the operator cancels."""
    try:
        for step in record.plan.steps:
            context.cancel.raise_if_requested()
            _one(step, journal, context)
        if not any(isinstance(step, PruneStep) for step in record.plan.steps):
            context.cancel.raise_if_requested()
    except Cancelled:
        journal.write("cancel-requested", text="The operator cancelled the run")
        whole = take_back(record, journal, context, "Cancelled: taking back what was done")
        return ("cancelled", "Cancelled, the host is as before") if whole else _broken()
    except StepFailed as failed:
        whole = take_back(record, journal, context, f"{failed}: taking back what was done")
        return ("undone", f"{failed}; the host is as before") if whole else _broken()
    if changed(record.plan.steps, journal.events):
        return "done", "Done"
    return "unchanged", "Nothing had to change"


def _broken() -> tuple[RunOutcome, str]:
    return "broken", "Not everything could be taken back: see the failed undos"


class StepFailed(Exception):  # noqa: N818 - it is in the journal already
    """A step failed, and the journal says why."""


def changed(steps: Sequence[Step], events: Sequence[RunEvent]) -> bool:
    """True where a step that can change something was done."""
    looks_only = {step.id for step in steps if isinstance(step, LOOKS_ONLY)}
    return any(e.kind == "step-done" and e.step_id not in looks_only for e in events)


def _one(step: Step, journal: Journal, context: Context) -> None:
    """One step: what it would change, then its intent, its undo, and itself."""
    context = _of_step(step, journal, context)
    kind = kind_of(step)
    started = False
    try:
        check = kind.check(step, context)
        if check.problem:
            raise StepError(check.problem)
        if check.change == "none":
            journal.write("step-unchanged", step.id, check.note)
            return
        journal.write("step-started", step.id, step.title, data={"note": check.note})
        started = True
        context.undo_dir(step.id).mkdir(mode=0o700, exist_ok=True)
        write_json(context.run_dir / "undo" / f"{step.id}.json", kind.save(step, context))
        kind.apply(step, context)
        journal.write("step-done", step.id, step.title)
    except Cancelled:
        raise
    # The edge of all kinds: whatever goes wrong in a step is told and then taken back.
    except Exception as error:  # noqa: BLE001
        _tell_failure(step, journal, error, started)


def _tell_failure(step: Step, journal: Journal, error: Exception, started: bool) -> None:
    told = error if isinstance(error, StepError) else _told(error)
    if isinstance(step, PruneStep):
        # Nothing of it can be undone, and the service does not need it.
        kind: EventKind = "step-done" if started else "step-unchanged"
        journal.write(kind, step.id, f"warning: {told.text}", data=told.as_data())
        return
    journal.write("step-failed", step.id, told.text, data=told.as_data())
    raise StepFailed(f"{step.title} failed") from error


def _told(error: Exception) -> StepError:
    fault = fault_of(error)
    return StepError(fault.text, fault.hint, {"code": fault.code})


def _of_step(step: Step, journal: Journal, context: Context) -> Context:
    """The run's context with a `say` that names this step."""
    return Context(
        context.layout, context.run_id, context.run_dir, context.tool_path,
        teller(journal, step.id), context.cancel,
    )  # fmt: skip
