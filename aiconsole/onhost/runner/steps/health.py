"""A real completion from the slot that serves: the proof at the end of a plan."""

from __future__ import annotations

from typing import Any

from aiconsole.onhost.runner import runtimes
from aiconsole.onhost.runner.admin import Admin
from aiconsole.onhost.runner.occupancy import look
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.wire import HealthStep, StepCheck


class HealthKind:
    """Changes nothing, and is done each time."""

    def check(self, step: HealthStep, context: Context) -> StepCheck:
        """It always asks."""
        return StepCheck(step.id, "act", note="ask for a completion")

    def save(self, step: HealthStep, context: Context) -> dict[str, Any]:
        """Nothing to take back."""
        return {}

    def apply(self, step: HealthStep, context: Context) -> None:
        """Ask the serving slot."""
        runtime = runtimes.of(step.layout)
        slot = look(step.layout, runtime).serving
        if not slot:
            raise StepError("no slot serves", "See `aiconsole logs` for what it wrote last.")
        took_s = Admin(step.layout, slot).prove(step.max_tokens, step.timeout_s, context.cancel)
        context.say(f"Slot {slot} answered a completion in {took_s:.2f} s")

    def undo(self, step: HealthStep, context: Context, saved: dict[str, Any]) -> None:
        """Nothing to take back."""
