"""One slot takes over from the other, measured."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

from aiconsole.onhost.runner.admin import Admin
from aiconsole.onhost.runner.drain import end_slot
from aiconsole.onhost.runner.manifest import of_slot
from aiconsole.onhost.runner.occupancy import Occupancy, write_state
from aiconsole.onhost.runner.runtimes import Runtime
from aiconsole.onhost.runner.smoke import ask_smoke_prompts
from aiconsole.onhost.runner.steps import before
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.runner.tally import Count
from aiconsole.onhost.runner.watch import Watch
from aiconsole.onhost.wire import ServiceState, SwapStep, SwapTally


class Changeover:
    """From the old slot, if there is one, to the new one."""

    def __init__(
        self, step: SwapStep, context: Context, runtime: Runtime, found: Occupancy
    ) -> None:
        self._step, self._context, self._runtime, self._found = step, context, runtime, found
        self._layout = step.layout
        self._old, self._new = found.old, found.idle
        self._load_s = 0.0

    def carry_out(self) -> SwapTally:
        """Do it.

        Raises:
            StepError: The new slot did not start or could not be proven; the undo has to follow.
            Cancelled: The operator cancelled while the new slot loaded.
        """
        began = time.monotonic()
        counts = [Count(self._layout, self._new, fresh=True)]
        if self._found.serving:
            counts.append(Count(self._layout, self._old, fresh=False))
        with self._watching() as watch:
            if self._step.mode == "held" and self._old:
                self._end_old(counts)
                self._begin_new()
            else:
                self._begin_new()
                self._end_old(counts)
            counts[0].ask()
        served, failed = (sum(numbers) for numbers in zip(*map(Count.finished, counts)))  # noqa: B905
        noticed = watch.noticed
        return SwapTally(
            elapsed_s=round(time.monotonic() - began, 3),
            load_s=round(self._load_s, 3),
            requests_served=served,
            requests_failed=failed,
            probes=noticed.probes,
            probes_failed=noticed.failed,
            longest_wait_s=round(noticed.longest_wait_s, 4),
        )

    @contextlib.contextmanager
    def _watching(self) -> Iterator[Watch]:
        """Probe while somebody serves; before a first start there is nothing to lose."""
        address = self._found.state.address or self._step.address
        timeout_s = self._step.ready_timeout_s + self._step.drain_timeout_s
        old_tls = of_slot(self._layout, self._found.serving).tls
        with Watch(address if self._found.serving else "", timeout_s, tls=old_tls) as watch:
            yield watch

    def _begin_new(self) -> None:
        """Start the new slot, prove it, and make it the one that a boot starts."""
        step, new, say = self._step, self._new, self._context.say
        # What is left in the free slot of a swap that was cut off.
        self._runtime.stop(new, step.drain_timeout_s)
        link = Path(self._layout.slot(new))
        link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        before.put_link(link, self._layout.release(step.release_id), self._context.run_id)
        self._context.cancel.raise_if_requested()
        say(f"Starting {step.release_id} in slot {new}")
        began = time.monotonic()
        self._runtime.start(new, step.ready_timeout_s, lambda text: say(text), self._context.cancel)
        self._load_s = time.monotonic() - began
        say(f"Slot {new} is ready after {self._load_s:.1f} s; asking it for a completion")
        self._prove(new)
        self._context.cancel.raise_if_requested()
        self._runtime.enable(new)
        write_state(self._layout, self._state())

    def _prove(self, slot: str) -> None:
        began = time.time() - self._load_s
        try:
            took_s = Admin(self._layout, slot).prove(
                self._step.max_tokens, self._step.ready_timeout_s, self._context.cancel
            )
            ask_smoke_prompts(self._layout, slot, self._step.smoke, self._context)
        except StepError as error:
            error.data["log"] = self._runtime.logs(slot, 20, began)
            raise
        self._context.say(f"Slot {slot} answered a completion in {took_s:.2f} s")

    def _end_old(self, counts: list[Count]) -> None:
        """Drain the old slot, counting what it still answers."""
        if not self._old:
            return
        end_slot(self._context, self._runtime, self._old, self._step.drain_timeout_s, counts[1:])

    def _state(self) -> ServiceState:
        was, release_id = self._found.state, self._step.release_id
        previous = was.release_id if was.release_id != release_id else was.previous_release_id
        return dataclasses.replace(
            was,
            release_id=release_id,
            slot=self._new,
            address=self._step.address or was.address,
            previous_release_id=previous,
            load_s=round(self._load_s, 3),
            deployed_unix_s=time.time(),
            wanted="running",
        )
