"""The way back from a swap, from wherever it was left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiconsole.onhost.runner import runtimes
from aiconsole.onhost.runner.admin import Admin
from aiconsole.onhost.runner.occupancy import restore_state
from aiconsole.onhost.runner.runtimes import Runtime
from aiconsole.onhost.runner.steps import before
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.wire import ServiceState, SwapStep, from_json


def go_back(step: SwapStep, context: Context, saved: dict[str, Any]) -> None:
    """Serve with the old slot again, and leave nothing of the new one.

    Raises:
        StepError: The old slot could not be brought back; all the rest was.
    """
    runtime = runtimes.of(step.layout, context.tool_path)
    old, new = str(saved["old"]), str(saved["new"])
    state = from_json(ServiceState, saved["state"])
    listening = str(saved["listening"])
    if listening and listening != runtime.listening():
        runtime.listen(listening)
    lost: StepError | None = None
    if saved["old_ready"]:
        try:
            _bring_back(step, context, runtime, old, new)
        except StepError as error:
            lost = error
    runtime.enable(old if state.wanted == "running" else "")
    runtime.stop(new, step.drain_timeout_s)
    before.bring_back(Path(step.layout.slot(new)), step.id, context, saved["link"])
    restore_state(step.layout, state)
    if not listening and step.address:
        runtime.close()
    if lost is not None:
        raise StepError(f"slot {old} does not serve: {lost.text}", data=lost.data) from lost


def _bring_back(step: SwapStep, context: Context, runtime: Runtime, old: str, new: str) -> None:
    """Make sure that the old slot is ready; in an overlap it usually never stopped."""
    status = runtime.slot_status(old)
    if status.state == "draining":
        # A drain cannot be called off: it is seen through, then the slot starts again.
        runtime.stop(old, step.drain_timeout_s)
    elif status.state == "ready":
        return
    if step.mode == "held":
        runtime.stop(new, step.drain_timeout_s)  # Memory fits only one of them.
    elif status.state != "stopped":
        runtime.stop(old, step.drain_timeout_s)
    context.say(f"Starting slot {old} again")
    runtime.start(old, step.ready_timeout_s, lambda text: context.say(text))
    Admin(step.layout, old).prove(step.max_tokens, step.ready_timeout_s)
