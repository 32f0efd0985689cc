"""A look at the release that has just taken over: what turns bad under load is taken back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner import runtimes
from aiconsole.onhost.runner.admin import Admin, NoAnswer
from aiconsole.onhost.runner.cancel import Cancelled
from aiconsole.onhost.runner.occupancy import look
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.runner.tally import number
from aiconsole.onhost.wire import StepCheck, WatchStep

_EACH_S = 0.5
_SILENT_S = 5.0
"""A daemon that says nothing for so long does not only have much to do."""
_BUSY = ("queue_full",)
"""Reasons of /ready that tell of load, and not of a fault."""
_LOG_LINES = 20


class WatchKind:
    """Changes nothing; its failure has the run take back the swap before it."""

    def check(self, step: WatchStep, context: Context) -> StepCheck:
        """`none` in a run that has swapped nothing."""
        if step.seconds <= 0:
            return StepCheck(step.id, "none", note="turned off")
        swapped = context.run_dir / "undo" / f"{step.swap}.json"
        if context.run_dir != Path() and not swapped.exists():
            return StepCheck(step.id, "none", note="nothing was swapped")
        return StepCheck(step.id, "act", note=f"{step.seconds:g} s, and back where it fails")

    def save(self, step: WatchStep, context: Context) -> dict[str, Any]:
        """Nothing to take back."""
        return {}

    def apply(self, step: WatchStep, context: Context) -> None:
        """Look until the time is over."""
        slot = look(step.layout, runtimes.of(step.layout)).serving
        if not slot:
            raise StepError("no slot serves any more")
        _Window(step, context, slot).see()

    def undo(self, step: WatchStep, context: Context, saved: dict[str, Any]) -> None:
        """Nothing to take back."""


class _Window:
    """One slot for some seconds."""

    def __init__(self, step: WatchStep, context: Context, slot: str) -> None:
        self._step, self._context, self._slot = step, context, slot
        self._admin = Admin(step.layout, slot)
        self._first: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        self._heard_s = time.monotonic()

    def see(self) -> None:
        """Look again and again.

        Raises:
            StepError: The release is bad; with counts, and the daemon's last lines.
            Cancelled: The operator cancelled.
        """
        began = said_at = time.monotonic()
        while (passed_s := time.monotonic() - began) < self._step.seconds:
            if fault := self._fault():
                raise self._bad(fault)
            if time.monotonic() - said_at >= 1.0:
                said_at = time.monotonic()
                self._context.say(f"{passed_s:.0f} of {self._step.seconds:g} s: {self._counts()}")
            if self._context.cancel.wait(_EACH_S):
                raise Cancelled
        if fault := self._fault():
            raise self._bad(fault)
        told = {"watch": self._data("")}
        self._context.say(f"Watched for {self._step.seconds:g} s: {self._counts()}", data=told)

    def _fault(self) -> str:
        """What is wrong with the slot now; empty where nothing is."""
        try:
            document = self._admin.status(timeout_s=_SILENT_S)
            unready = self._admin.unready()
        except NoAnswer as error:
            silent_s = time.monotonic() - self._heard_s
            return f"it does not answer: {error}" if silent_s >= _SILENT_S else self._crash()
        self._heard_s = time.monotonic()
        self._first = self._first or document
        self._last = document
        if document.get("instance") != self._first.get("instance"):
            return "its daemon has crashed and was started again"
        if unready and not unready.startswith(_BUSY):
            return f"it is not ready: {unready}"
        if number(document, "engine_restarts") > number(self._first, "engine_restarts"):
            return f"its engine was started again: {document.get('engine_fault', '')}"
        return self._too_many_failures()

    def _crash(self) -> str:
        """A daemon that is gone is restarted by its runtime, and must not hide behind that."""
        state = runtimes.of(self._step.layout).slot_status(self._slot).state
        return "" if state == "ready" else f"it is {state}"

    def _too_many_failures(self) -> str:
        served, failed = self._numbers()
        asked = max(served, failed)
        if asked < self._step.min_requests or failed <= asked * self._step.max_failed_ratio:
            return ""
        return (
            f"{failed} of {asked} requests failed, {failed / asked:.0%}; "
            f"{self._step.max_failed_ratio:.0%} are let pass"
        )

    def _numbers(self) -> tuple[int, int]:
        """Requests served and failed by this release, from its start on."""
        return number(self._last, "served"), number(self._last, "failed")

    def _counts(self) -> str:
        served, failed = self._numbers()
        return f"{served} requests served, {failed} failed"

    def _data(self, fault: str) -> dict[str, Any]:
        served, failed = self._numbers()
        return {"slot": self._slot, "served": served, "failed": failed, "fault": fault}

    def _bad(self, fault: str) -> StepError:
        log = runtimes.of(self._step.layout).logs(self._slot, _LOG_LINES)
        text = f"slot {self._slot} turned bad after the switch: {fault} ({self._counts()})"
        return StepError(text, data={"log": log, "watch": self._data(fault)})
