"""How far an operation is on one host: events go in, one frozen state comes out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

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
from aiconsole.onhost.wire import RunEvent, RunSummary

PartState: TypeAlias = Literal["waiting", "working", "done", "unchanged", "failed", "undone", "cut"]
"""`cut`: it was at work when the operation ended, and its own end is not known."""

_LOG_LINES = 40
_RATE_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """A phase of the console or a step on the host."""

    key: str
    """Name of the phase, or id of the step."""
    title: str
    state: PartState = "waiting"
    note: str = ""
    started_s: float = 0.0
    """By the console's monotonic clock."""
    started_unix_s: float = 0.0
    """By the host's clock, of a step: a run that is re-attached tells its past in one go."""
    elapsed_s: float = 0.0
    """Of a part that has ended."""
    done_bytes: int = 0
    total_bytes: int = 0
    rate_bytes_per_s: float = 0.0
    measured_s: float = 0.0
    measured_bytes: int = 0

    def begin(self, now_s: float, note: str = "") -> Part:
        """It is at work."""
        return replace(
            self, state="working", started_s=now_s, note=note, measured_s=now_s, measured_bytes=0
        )

    def advance(self, done: int, total: int, note: str, now_s: float) -> Part:
        """Take a count of bytes; the rate follows once in a second, so that it can be read."""
        rate, since, base = self.rate_bytes_per_s, self.measured_s, self.measured_bytes
        if done < base:
            rate, since, base = 0.0, now_s, done
        elif now_s - since >= _RATE_WINDOW_S:
            fresh = (done - base) / (now_s - since)
            rate = fresh if rate == 0 else 0.6 * rate + 0.4 * fresh
            since, base = now_s, done
        return replace(
            self, done_bytes=done, total_bytes=total, note=note or self.note,
            rate_bytes_per_s=rate, measured_s=since, measured_bytes=base,
        )  # fmt: skip

    def finish(self, state: PartState, now_s: float, note: str = "") -> Part:
        """It has ended."""
        elapsed = now_s - self.started_s if self.state == "working" else self.elapsed_s
        return replace(self, state=state, elapsed_s=elapsed, note=note)

    @property
    def left_s(self) -> float | None:
        """How long it will still take at the present rate; None where that cannot be said."""
        if self.rate_bytes_per_s <= 0 or self.total_bytes <= self.done_bytes:
            return None
        return (self.total_bytes - self.done_bytes) / self.rate_bytes_per_s


@dataclass(frozen=True, slots=True)
class HostProgress:
    """One host of an operation."""

    host: str
    phases: tuple[Part, ...] = ()
    """Parts of the console's own work, in order."""
    steps: tuple[Part, ...] = ()
    """Steps on the host; known once the plan is."""
    plan: PlanReady | None = None
    run_id: str = ""
    link_lost: str = ""
    """What was said when the link was lost; empty while it is up."""
    undoing: str = ""
    """Why what was done is being taken back; empty where nothing is."""
    busy: RunSummary | None = None
    log: tuple[str, ...] = field(default_factory=tuple)
    result: Result | None = None

    def after(self, event: Event, now_s: float) -> HostProgress:
        """The state once this was told."""
        match event:
            case PhaseStarted():
                return self._phase_started(event, now_s)
            case Progress():
                return replace(self, phases=self._progressed(event, now_s))
            case PlanReady():
                return replace(
                    self, plan=event, steps=_steps_of(event), phases=self._phases_done(now_s)
                )
            case RunAdvanced():
                return replace(self, run_id=event.run_id)._run_advanced(event.event, now_s)
            case LinkChanged():
                return replace(self, link_lost=event.text if event.state == "unknown" else "")
            case Busy():
                return replace(self, busy=event.run)
            case Result():
                return self._ended(event, now_s)

    @property
    def working(self) -> Part | None:
        """The part that is at work: a step before the phase it belongs to."""
        parts = (*self.steps, *reversed(self.phases))
        return next((part for part in parts if part.state == "working"), None)

    def _phase_started(self, event: PhaseStarted, now_s: float) -> HostProgress:
        started = Part(event.phase, event.text).begin(now_s)
        return replace(self, phases=(*self._phases_done(now_s), started))

    def _phases_done(self, now_s: float) -> tuple[Part, ...]:
        return tuple(
            part.finish("done", now_s, part.note) if part.state == "working" else part
            for part in self.phases
        )

    def _progressed(self, event: Progress, now_s: float) -> tuple[Part, ...]:
        if not any(part.key == event.phase for part in self.phases):
            started = self._phase_started(PhaseStarted(event.host, event.phase, event.text), now_s)
            return started._progressed(event, now_s)
        last = max(i for i, part in enumerate(self.phases) if part.key == event.phase)
        moved = self.phases[last].advance(event.done_bytes, event.total_bytes, event.text, now_s)
        return (*self.phases[:last], moved, *self.phases[last + 1 :])

    def _run_advanced(self, event: RunEvent, now_s: float) -> HostProgress:
        log = (*self.log, *map(str, event.data.get("log", ())))[-_LOG_LINES:]
        state = replace(self, log=log)
        if event.kind == "undo-started":
            return replace(state, undoing=event.text or "a step failed")
        if not event.step_id:
            return state
        steps = tuple(
            _step_after(part, event, now_s) if part.key == event.step_id else part
            for part in state._with_step(event)
        )
        return replace(state, steps=steps)

    def _with_step(self, event: RunEvent) -> tuple[Part, ...]:
        """A run that is watched from its middle has steps before a plan was seen."""
        if any(part.key == event.step_id for part in self.steps):
            return self.steps
        return (*self.steps, Part(event.step_id, event.text or event.step_id))

    def _ended(self, result: Result, now_s: float) -> HostProgress:
        good = result.outcome in ("done", "unchanged", "planned")

        def close(part: Part) -> Part:
            if part.state != "working":
                return part
            return part.finish("done" if good else "cut", now_s, part.note)

        return replace(
            self, result=result, link_lost="", run_id=result.run_id or self.run_id,
            phases=tuple(close(part) for part in self.phases),
            steps=tuple(close(part) for part in self.steps),
            log=(*self.log, *result.log)[-_LOG_LINES:] if not self.log else self.log,
        )  # fmt: skip


def _steps_of(event: PlanReady) -> tuple[Part, ...]:
    return tuple(Part(step.id, step.title) for step in event.plan.steps)


_ENDS: dict[str, PartState] = {
    "step-unchanged": "unchanged", "step-done": "done", "step-failed": "failed",
    "undo-failed": "failed", "step-undone": "undone",
}  # fmt: skip


def _step_after(part: Part, event: RunEvent, now_s: float) -> Part:
    if event.kind == "step-started":
        return replace(part.begin(now_s, event.text), started_unix_s=event.at_unix_s)
    if event.kind == "step-progress":
        running = part if part.state == "working" else part.begin(now_s)
        return running.advance(event.done_bytes, event.total_bytes, event.text, now_s)
    if event.kind not in _ENDS:
        return part
    ended = part.finish(_ENDS[event.kind], now_s, event.text)
    if part.started_unix_s and part.state == "working":
        return replace(ended, elapsed_s=max(0.0, event.at_unix_s - part.started_unix_s))
    return ended
