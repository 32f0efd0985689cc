"""The swap: another release serves, in the idle slot, and nobody's request is lost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner import runtimes
from aiconsole.onhost.runner.cancel import Cancelled
from aiconsole.onhost.runner.changeover import Changeover
from aiconsole.onhost.runner.occupancy import Occupancy, look
from aiconsole.onhost.runner.ports import address_problem
from aiconsole.onhost.runner.runtimes import Runtime
from aiconsole.onhost.runner.steps import before
from aiconsole.onhost.runner.steps.goback import go_back
from aiconsole.onhost.runner.steps.kind import Context
from aiconsole.onhost.wire import StepCheck, SwapStep, to_json


class SwapKind:
    """Overlap: the old slot serves until the new one is proven. Held: the socket queues meanwhile.

    Whatever fails raises, and the undo brings the old slot back.
    """

    def check(self, step: SwapStep, context: Context) -> StepCheck:
        """Which slot would be started, and what stands in its way."""
        runtime = runtimes.of(step.layout)
        now = look(step.layout, runtime)
        if not _forced(step, context) and now.serves(step.release_id, step.address):
            note = f"{step.release_id} serves in {_name(now)}"
            # A look before the run cannot tell whether a secret that comes is another one.
            open_question = step.force_after and context.run_dir == Path()
            return StepCheck(step.id, "unknown" if open_question else "none", note=note)
        release = step.layout.release(step.release_id)
        if release not in context.planned and not Path(release, "launch.py").is_file():
            return StepCheck(step.id, "act", problem=f"there is no release {step.release_id} here")
        problem = address_problem(step.address, runtime.own_pids()) if step.address else ""
        return StepCheck(step.id, "act", note=_note(step, now), problem=problem)

    def save(self, step: SwapStep, context: Context) -> dict[str, Any]:
        """Who serves, what the free slot points to, where the socket listens."""
        runtime = runtimes.of(step.layout, context.tool_path)
        _let_it_come_up(step, context, runtime)
        now = look(step.layout, runtime)
        return {
            "old": now.old,
            "old_ready": bool(now.serving),
            "new": now.idle,
            "link": before.keep(Path(step.layout.slot(now.idle)), step.id, context),
            "listening": runtime.listening(),
            "state": to_json(now.state),
        }

    def apply(self, step: SwapStep, context: Context) -> None:
        """Swap, and tell what clients noticed of it."""
        runtime = runtimes.of(step.layout, context.tool_path)
        if step.address:
            runtime.listen(step.address)
        now = look(step.layout, runtime)
        if not _forced(step, context) and now.serves(step.release_id, step.address):
            context.say(f"{step.release_id} has come up by itself in {_name(now)}")
            return
        tally = Changeover(step, context, runtime, now).carry_out()
        text = f"{step.release_id} serves; {tally.requests_failed} of " + (
            f"{tally.requests_served + tally.requests_failed} requests failed during the swap"
        )
        context.say(text, data={"swap": to_json(tally)})

    def undo(self, step: SwapStep, context: Context, saved: dict[str, Any]) -> None:
        """The old slot serves again, as before."""
        go_back(step, context, saved)


def _forced(step: SwapStep, context: Context) -> bool:
    """Whether it swaps even onto the release that serves."""
    undo = context.run_dir / "undo"
    return step.force or any((undo / f"{name}.json").exists() for name in step.force_after)


def _let_it_come_up(step: SwapStep, context: Context, runtime: Runtime) -> None:
    """After a boot the wanted release may be loading already: a second copy would help nobody."""
    deadline, told = time.monotonic() + step.ready_timeout_s, False
    while time.monotonic() < deadline:
        now = look(step.layout, runtime)
        slot = now.slots.get(now.state.slot)
        if slot is None or slot.state not in ("starting", "loading"):
            return
        if now.releases[slot.slot] != step.release_id:
            return
        if not told:
            context.say(f"Slot {slot.slot} loads {step.release_id} already; waiting for it")
            told = True
        if context.cancel.wait(0.2):
            raise Cancelled


def _name(now: Occupancy) -> str:
    return f"slot {now.serving}"


def _note(step: SwapStep, now: Occupancy) -> str:
    if not now.serving:
        return f"start slot {now.idle}"
    if step.mode == "held":
        stall_s = step.expected_stall_s or now.state.load_s
        return (
            f"stop slot {now.serving}, then start slot {now.idle}: "
            f"requests wait about {stall_s:.0f} s"
        )
    return f"start slot {now.idle}, prove it, then drain slot {now.serving}"
