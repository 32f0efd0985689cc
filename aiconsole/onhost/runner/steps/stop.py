"""Stopping the service: every slot drains, then the socket closes."""

from __future__ import annotations

import dataclasses
from typing import Any

from aiconsole.onhost.runner import runtimes
from aiconsole.onhost.runner.admin import Admin
from aiconsole.onhost.runner.drain import end_slot
from aiconsole.onhost.runner.occupancy import look, restore_state, write_state
from aiconsole.onhost.runner.runtimes.runtime import SLOTS
from aiconsole.onhost.runner.steps.kind import Context
from aiconsole.onhost.runner.tally import Count
from aiconsole.onhost.wire import ServiceState, StepCheck, StopStep, from_json, to_json

_LOAD_AGAIN_S = 1800.0
"""What the old model may take to load in an undo."""


class StopKind:
    """The state file keeps the release, so that a start knows what to serve."""

    def check(self, step: StopStep, context: Context) -> StepCheck:
        """Which slots would stop."""
        runtime = runtimes.of(step.layout)
        now = look(step.layout, runtime)
        running = [name for name, slot in now.slots.items() if slot.pid or slot.state == "failed"]
        if not running and not runtime.listening() and now.state.wanted != "running":
            return StepCheck(step.id, "none", note="it is stopped")
        note = f"stop {' and '.join(f'slot {name}' for name in running)}" if running else ""
        return StepCheck(step.id, "act", note=note or "close the socket")

    def save(self, step: StopStep, context: Context) -> dict[str, Any]:
        """Who serves where."""
        runtime = runtimes.of(step.layout, context.tool_path)
        now = look(step.layout, runtime)
        return {
            "serving": now.serving,
            "listening": runtime.listening(),
            "state": to_json(now.state),
        }

    def apply(self, step: StopStep, context: Context) -> None:
        """First what a boot would start, then what runs, then the socket."""
        runtime = runtimes.of(step.layout, context.tool_path)
        now = look(step.layout, runtime)
        runtime.enable("")
        write_state(step.layout, dataclasses.replace(now.state, slot="", wanted="stopped"))
        for slot in SLOTS:
            counts = [Count(step.layout, slot, fresh=False)] if slot == now.serving else []
            end_slot(context, runtime, slot, step.drain_timeout_s, counts)
        runtime.close()

    def undo(self, step: StopStep, context: Context, saved: dict[str, Any]) -> None:
        """Listen and serve as before."""
        runtime = runtimes.of(step.layout, context.tool_path)
        serving = str(saved["serving"])
        if saved["listening"]:
            runtime.listen(str(saved["listening"]))
        if serving and runtime.slot_status(serving).state != "ready":
            runtime.stop(serving, step.drain_timeout_s)
            context.say(f"Starting slot {serving} again")
            runtime.start(serving, _LOAD_AGAIN_S, lambda text: context.say(text))
            Admin(step.layout, serving).prove(8, _LOAD_AGAIN_S)
        state = from_json(ServiceState, saved["state"])
        runtime.enable(state.slot if state.wanted == "running" else "")
        restore_state(step.layout, state)
