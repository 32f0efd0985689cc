"""Print the events of an operation: for people line by line, for scripts as JSON lines."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import replace
from typing import Any, Protocol

from aiconsole.control.events import (
    Busy,
    Event,
    LinkChanged,
    PhaseStarted,
    PlanReady,
    Progress,
    Result,
    RunAdvanced,
)
from aiconsole.errors import AiconsoleError
from aiconsole.fleet.host import LOCALHOST
from aiconsole.onhost.wire import RunEvent, StepCheck, SwapTally, to_json
from aiconsole.units import bytes_text, seconds_text
from aiconsole.visible import visible, visible_lines

_DIFF_ROWS = 24
_NEW_FILE_ROWS = 8
"""Of one file; a plan should fit on a few screens."""

_QUIET_S = 5.0
"""Without a terminal, how long nothing is told before a line of progress is."""

_MARKS = {"none": "=", "create": "+", "change": "~", "act": ">", "unknown": "?"}

_ENDS = {
    "done": "done",
    "unchanged": "nothing to change",
    "planned": "nothing was changed",
    "undone": "failed, and taken back",
    "cancelled": "cancelled, and taken back",
    "broken": "FAILED, AND THE UNDO FAILED",
    "failed": "failed, nothing was changed",
    "refused": "nothing was changed",
    "skipped": "skipped",
    "unknown": "unknown",
}


class Renderer(Protocol):
    """Takes events in their order."""

    def show(self, event: Event) -> None:
        """Print one event."""


class JsonRenderer:
    """One JSON object a line; `event` names its kind and `at_unix_s` when it was seen here.

    A new client key appears here once.
    """

    def show(self, event: Event) -> None:
        """Print one event."""
        head = {"event": type(event).__name__, "at_unix_s": time.time()}
        print(json.dumps({**head, **_event_fields(event)}), flush=True)


class LineRenderer:
    """For people. On a terminal the line of the work at hand is rewritten in place.

    Args:
        several_hosts: Begin each line with the host's name.
        brief: Leave out what the plan and its steps say while all goes well.
    """

    def __init__(self, *, several_hosts: bool, brief: bool = False) -> None:
        self._several = several_hosts
        self._brief = brief
        self._live = sys.stdout.isatty()
        self._live_open = False
        self._titles: dict[tuple[str, str], str] = {}
        self._began: dict[tuple[str, str], float] = {}
        self._last_progress_s = 0.0 if self._live else time.monotonic()

    def show(self, event: Event) -> None:
        """Print one event."""
        match event:
            case PhaseStarted():
                self._line(event.host, f"{event.phase:<8} {visible(event.text)}")
            case Progress():
                self._progress(event.host, event.text, event.done_bytes, event.total_bytes)
            case PlanReady():
                self._plan(event)
            case RunAdvanced():
                self._run_event(event.host, event.event)
            case LinkChanged():
                self._line(event.host, f"link     {event.state}: {visible(event.text)}")
            case Busy():
                who = visible(event.run.operator)
                self._line(event.host, f"busy     {who} runs {visible(event.run.run_id)}")
            case Result():
                self._result(event)

    def _plan(self, ready: PlanReady) -> None:
        host = ready.host
        self._line(host, f"plan     {visible(ready.plan.title)}  (run {ready.plan.run_id})")
        if any(check.problem for check in ready.report.steps):
            # The error that follows names them; the rest of the plan would only bury it.
            return
        unchanged = 0
        for step, check in zip(ready.plan.steps, ready.report.steps, strict=True):
            self._titles[host, step.id] = step.title
            if self._brief:
                continue
            if check.change == "none":
                unchanged += 1
                continue
            new = check.change == "create"
            self._line(host, f"  {_MARKS[check.change]} {visible(step.title)}{_note(check)}")
            self._diff(host, check.diff, _NEW_FILE_ROWS if new else _DIFF_ROWS)
        if unchanged and not self._brief:
            steps = "1 step finds" if unchanged == 1 else f"{unchanged} steps find"
            self._line(host, f"  = {steps} nothing to change")
        if ready.upload_bytes:
            self._line(host, f"  {bytes_text(ready.upload_bytes)} to send")
        for note in ready.notes:
            self._line(host, f"  ! {visible(note)}")

    def _diff(self, host: str, diff: str, most_rows: int) -> None:
        rows = diff.splitlines()
        # One row more is shown rather than counted.
        shown = rows if len(rows) <= most_rows + 1 else rows[:most_rows]
        for row in shown:
            self._line(host, f"      {visible(row)}")
        if left := len(rows) - len(shown):
            self._line(host, f"      … {left} more lines, whole with --json")

    def _run_event(self, host: str, event: RunEvent) -> None:
        title = self._titles.get((host, event.step_id), event.text or event.step_id)
        elapsed_s = event.at_unix_s - self._began.get((host, event.step_id), event.at_unix_s)
        match event.kind:
            case "step-started":
                self._began[host, event.step_id] = event.at_unix_s
                self._titles.setdefault((host, event.step_id), event.text or event.step_id)
                self._rewrite(host, f"  … {visible(title)}")
            case "step-progress":
                self._progress(host, event.text or title, event.done_bytes, event.total_bytes)
            case "step-done" if self._brief:
                self._rewrite(host, f"  ✓ {visible(title)}")
            case "step-done":
                self._line(host, f"  ✓ {visible(title)}  {seconds_text(elapsed_s)}")
            case "step-failed":
                self._line(host, f"  ✗ {visible(title)}: {visible(event.text)}")
            case "undo-started" | "cancel-requested" | "undo-failed":
                self._line(host, f"  ! {visible(event.text or event.kind)}")
            case "step-undone":
                self._line(host, f"  ↶ {visible(title)}")
            case _:
                pass

    def _result(self, result: Result) -> None:
        host = result.host
        self._line(host, _end_line(result))
        if result.error:
            self._error(host, result.error)
        for row in result.log:
            self._line(host, f"  | {visible(row)}")
        if result.tally and result.tally.probes:
            self._line(host, _swap_line(result.tally))
        if result.client_key:
            self._line(host, f"client key, shown this once: {result.client_key.reveal()}")
        if result.url and result.outcome in ("done", "unchanged") and not self._brief:
            if host != LOCALHOST and "://127.0.0.1:" in result.url:
                self._line(host, f"inferd answers on {result.url} of {host}")
                self._line(host, f"  → bring it here: aiconsole forward {host}")
            else:
                self._line(host, f"inferd answers on {result.url}")

    def _error(self, host: str, error: AiconsoleError) -> None:
        for mark, text in ((" ", error.detail), ("→", error.hint)):
            for row in visible_lines(text):
                self._line(host, f"  {mark} {row}")

    def _progress(self, host: str, text: str, done_bytes: int, total_bytes: int) -> None:
        now_s = time.monotonic()
        ended = self._live and total_bytes and done_bytes >= total_bytes
        if not ended and now_s - self._last_progress_s < (0.2 if self._live else _QUIET_S):
            return
        self._last_progress_s = now_s
        of = f"  {bytes_text(done_bytes)} of {bytes_text(total_bytes)}" if total_bytes else ""
        if self._live:
            self._rewrite(host, f"  … {visible(text)}{of}")
        else:
            self._line(host, f"  … {visible(text)}{of}")

    def _rewrite(self, host: str, text: str) -> None:
        if not self._live:
            return
        sys.stdout.write(f"\r\x1b[2K{self._prefix(host)}{text}"[: _columns()])
        sys.stdout.flush()
        self._live_open = True

    def _line(self, host: str, text: str) -> None:
        if self._live_open:
            sys.stdout.write("\r\x1b[2K")
            self._live_open = False
        if not self._live:
            # In a log progress is told only where nothing else was for a while.
            self._last_progress_s = time.monotonic()
        print(f"{self._prefix(host)}{text}", flush=True)

    def _prefix(self, host: str) -> str:
        return f"{host:<12} " if self._several else ""


def _event_fields(event: Event) -> dict[str, Any]:
    """Shape an event for JSON; the only secret in it is a client key that was just made."""
    if isinstance(event, RunAdvanced):
        # What the host wrote stands by itself: it has a time of its own.
        return {"host": event.host, "run_id": event.run_id, "journal": to_json(event.event)}
    if not isinstance(event, Result):
        fields: dict[str, Any] = to_json(event)
        return fields
    plain = replace(event, error=None, client_key=None)
    fields = {**to_json(plain), "exit_code": event.exit_code}
    fields["error"] = event.error.as_json() if event.error else None
    fields["client_key"] = event.client_key.reveal() if event.client_key else None
    return fields


def _end_line(result: Result) -> str:
    """How it ended and why, on one line."""
    took = f" in {seconds_text(result.elapsed_s)}" if result.elapsed_s else ""
    why = result.error.title if result.error else ""
    if result.outcome == "skipped":
        why = result.title
    return f"{_ENDS[result.outcome]}{took}" + (f": {visible(why)}" if why else "")


def _swap_line(tally: SwapTally) -> str:
    return (
        f"during the swap: {tally.requests_served:,} requests served, "
        f"{tally.requests_failed:,} failed; {tally.probes:,} probes, "
        f"{tally.probes_failed:,} failed, longest wait {seconds_text(tally.longest_wait_s)}"
    )


def _note(check: StepCheck) -> str:
    return f"  ({visible(check.note)})" if check.note else ""


def _columns() -> int:
    return shutil.get_terminal_size().columns + 6
