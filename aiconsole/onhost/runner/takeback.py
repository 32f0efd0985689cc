"""Takes back what a run did, step by step in reverse: after a failure, a cancel or a kill."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from aiconsole.onhost.runner.cancel import NEVER
from aiconsole.onhost.runner.faults import text_of
from aiconsole.onhost.runner.journal import Journal
from aiconsole.onhost.runner.record import RunRecord
from aiconsole.onhost.runner.registry import kind_of
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.wire import PruneStep, RunEvent, Step


def touched_steps(events: Sequence[RunEvent]) -> list[str]:
    """Ids of the steps that may have changed something and are not taken back yet, in order."""
    touched: dict[str, None] = {}
    for event in events:
        if event.kind == "step-started":
            touched[event.step_id] = None
        elif event.kind == "step-undone":
            touched.pop(event.step_id, None)
    return list(touched)


def is_complete(steps: Sequence[Step], events: Sequence[RunEvent]) -> bool:
    """True where every step is through; tidying up that was cut short is no reason to go back."""
    if any(event.kind == "undo-started" for event in events):
        return False
    through = {e.step_id for e in events if e.kind in ("step-done", "step-unchanged")}
    return all(step.id in through or isinstance(step, PruneStep) for step in steps)


def take_back(record: RunRecord, journal: Journal, context: Context, why: str) -> bool:
    """Undo all touched steps, the last first, going on past failures.

    Args:
        record: The run.
        journal: Where each undo is written down.
        context: Of the run; it is not cancelled any more.
        why: One line for the operator.

    Returns:
        True where the host is as before; False where an undo failed.
    """
    touched = touched_steps(journal.events)
    journal.write("undo-started", text=why, data={"steps": len(touched)})
    journal.free_ballast()  # An undo writes files too, and the disk may be full.
    by_id = {step.id: step for step in record.plan.steps}
    context = dataclasses.replace(context, cancel=NEVER)
    results = [_undo_one(by_id[step_id], journal, context) for step_id in reversed(touched)]
    return all(results)


def _undo_one(step: Step, journal: Journal, context: Context) -> bool:
    saved_file = context.run_dir / "undo" / f"{step.id}.json"
    try:
        saved = json.loads(saved_file.read_text())
    except FileNotFoundError:
        # Killed between the intent and the saving: apply was never called.
        journal.write("step-undone", step.id, "nothing was done")
        return True
    except (ValueError, OSError) as error:
        journal.write("undo-failed", step.id, f"what its undo needs cannot be read: {error}")
        return False
    try:
        kind_of(step).undo(step, context, saved)
    except StepError as error:
        journal.write("undo-failed", step.id, error.text, data=error.as_data())
    # The edge of all kinds: a defect in one undo must not keep the others from being done.
    except Exception as error:  # noqa: BLE001
        journal.write("undo-failed", step.id, text_of(error))
    else:
        journal.write("step-undone", step.id, step.title)
        return True
    return False
