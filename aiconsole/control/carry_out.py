"""Carry out one plan on one host: show it, ask, send what is missing, run it, tell the result.

Deploy, restart, rollback, stop and start differ in their plans and in nothing else.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiconsole.control.events import (
    Busy,
    Event,
    LinkChanged,
    PhaseStarted,
    PlanReady,
    Result,
    RunAdvanced,
)
from aiconsole.control.follow import attach_run, run_plan
from aiconsole.control.ledger import note_run
from aiconsole.control.line import HostLine
from aiconsole.control.send import send_files
from aiconsole.errors import BusyError, CommandError, LinkLostError, PreflightError, RunError
from aiconsole.onhost.wire import (
    CheckReport,
    Plan,
    RunEvent,
    RunSummary,
    SwapTally,
    Upload,
    from_json,
    to_json,
)
from aiconsole.question import Ask, Question
from aiconsole.secret import Secret
from aiconsole.units import moment_text


@dataclass(frozen=True, slots=True)
class Job:
    """A plan with what the console adds to it."""

    line: HostLine
    plan: Plan
    effect: str
    """What users of the service notice, for the question: `Restart inferd on web1?`."""
    files: tuple[tuple[Upload, Path], ...] = ()
    """Everything the plan could need; only what the host lacks is sent."""
    secrets: dict[str, Secret] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    plan_only: bool = False
    yes: bool = False
    next_verbs: tuple[str, ...] = ()
    """Calls that will follow the check, opened while it goes on."""


async def carry_out(job: Job, ask: Ask) -> AsyncGenerator[Event, None]:
    """Yield the operation's events; the last one is its Result.

    Raises:
        AiconsoleError: It ended before a run began; nothing was changed on the host.
    """
    host, clock = job.line.host.name, _Clock()
    yield PhaseStarted(host, "check", "Compare the plan with the host")
    if not job.plan_only:
        job.line.warm(*job.next_verbs)
    report = await _check(job)
    missing = {check.missing_upload for check in report.steps} - {""}
    files = [pair for pair in job.files if pair[0].sha256 in missing]
    upload_bytes = sum(upload.size_bytes for upload, _ in files)
    ready = PlanReady(host, job.plan, report, upload_bytes, job.notes)
    yield ready
    clock.lap("console:check")
    _refuse_problems(job.plan, report)
    if not ready.changes:
        yield Result(host, "unchanged", "Nothing to change", steps_s=clock.laps)
        return
    if job.plan_only:
        yield Result(host, "planned", "Nothing was changed", steps_s=clock.laps)
        return
    if report.busy_run_id:
        async with aclosing(_watch_other(job, report, ask)) as events:
            async for event in events:
                yield event
        return
    if not job.yes and await ask(_question(job)) is not True:
        yield Result(host, "refused", "Nothing was changed", steps_s=clock.laps)
        return
    clock.start()
    if files:
        yield PhaseStarted(host, "upload", f"Send {len(files)} files")
        async with aclosing(send_files(job.line, files)) as sending:
            async for step in sending:
                yield step
        clock.lap("console:upload")
    async with aclosing(_run(job, clock)) as events:
        async for event in events:
            yield event


async def _check(job: Job) -> CheckReport:
    """Have the host compare the plan with what it is.

    Raises:
        CommandError: It answers something else than that.
    """
    answer = await job.line.ask("check", stdin=_plan_line(job.plan))
    report = job.line.shaped(CheckReport, answer)
    if [check.step_id for check in report.steps] != [step.id for step in job.plan.steps]:
        raise CommandError(
            f"The answer of {job.line.host.name} cannot be read",
            "it speaks of other steps than the plan",
        )
    return report


async def watch(line: HostLine, run_id: str) -> AsyncGenerator[Event, None]:
    """Follow a run that somebody started, from its first event; the last one is a Result.

    Its time is that of the run by the host's clock, not of the look at it.
    """
    began_s = ended_s = 0.0
    async with aclosing(_followed(line, run_id, attach_run(line, run_id), _Clock())) as events:
        async for event in events:
            if isinstance(event, RunAdvanced):
                ended_s = event.event.at_unix_s
                began_s = began_s or ended_s
            if isinstance(event, Result):
                event = replace(event, elapsed_s=max(0.0, ended_s - began_s))
            yield event


async def _run(job: Job, clock: _Clock) -> AsyncGenerator[Event, None]:
    yield PhaseStarted(job.line.host.name, "run", job.plan.title)
    news = run_plan(job.line, job.plan, job.secrets)
    async with aclosing(_followed(job.line, job.plan.run_id, news, clock)) as events:
        async for event in events:
            if isinstance(event, Result):
                note_run(job.plan, event)
            yield event


async def _followed(
    line: HostLine,
    run_id: str,
    news: AsyncGenerator[RunAdvanced | LinkChanged, None],
    clock: _Clock,
) -> AsyncGenerator[Event, None]:
    """The news of a run and its Result; a run that got out of sight ends as `unknown`."""
    host, summary = line.host.name, _Summary()
    try:
        async with aclosing(news) as events:
            async for event in events:
                if isinstance(event, RunAdvanced):
                    summary.add(event.event)
                yield event
    except LinkLostError as error:
        yield Result(host, "unknown", error.title, run_id=run_id, error=error)
        return
    clock.lap("console:run")
    yield summary.result(host, run_id, clock)


async def _watch_other(job: Job, report: CheckReport, ask: Ask) -> AsyncGenerator[Event, None]:
    """Say who holds the lock, and follow that run if the operator wants to."""
    line, run_id = job.line, report.busy_run_id
    since = moment_text(report.busy_since_unix_s, "%H:%M:%S")
    summary = RunSummary(
        run_id, "", job.plan.lock, report.busy_operator, report.busy_since_unix_s, 0.0, "running"
    )
    yield Busy(line.host.name, summary)
    error = BusyError(
        f"{line.host.name} is being changed by {report.busy_operator or 'somebody'}",
        f"run {run_id}, since {since}",
        f"watch it: aiconsole runs attach {line.host.name} {run_id}",
        run_id=run_id,
    )
    watch_it = Question("confirm", f"{error.title}, since {since}. Watch that run?")
    if await ask(watch_it) is True:
        async with aclosing(watch(line, run_id)) as events:
            async for event in events:
                if not isinstance(event, Result):
                    yield event
    yield Result(line.host.name, "refused", error.title, error=error)


def _plan_line(plan: Plan) -> bytes:
    return json.dumps(to_json(plan)).encode() + b"\n"


def _question(job: Job) -> Question:
    host = job.line.host
    return Question(
        "confirm",
        job.effect,
        "\n".join(job.notes),
        danger=True,
        typed_name=host.name if host.protected else "",
    )


def _refuse_problems(plan: Plan, report: CheckReport) -> None:
    titles = {step.id: step.title for step in plan.steps}
    problems = [f"{titles[c.step_id]}: {c.problem}" for c in report.steps if c.problem]
    if problems:
        raise PreflightError(
            "The plan cannot be carried out",
            "; ".join(problems),
            "Mend that on the host and run the command again; nothing was changed",
        )


class _Clock:
    """Time by part, for the result."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        self._lap_s = time.monotonic()

    def lap(self, name: str) -> None:
        now_s = time.monotonic()
        self.laps[name] = now_s - self._lap_s
        self._lap_s = now_s

    @property
    def elapsed_s(self) -> float:
        return sum(self.laps.values())


class _Summary:
    """What the events of a run add up to."""

    def __init__(self) -> None:
        self._steps_s: dict[str, float] = {}
        self._began: dict[str, float] = {}
        self._data: dict[str, Any] = {}
        self._failure: RunEvent | None = None
        self._last: RunEvent | None = None

    def add(self, event: RunEvent) -> None:
        self._last = event
        if event.kind == "step-started":
            self._began[event.step_id] = event.at_unix_s
        elif event.step_id in self._began:
            self._steps_s[event.step_id] = event.at_unix_s - self._began[event.step_id]
        if event.kind == "step-failed" and self._failure is None:
            self._failure = event
        self._data.update(event.data)

    def result(self, host: str, run_id: str, clock: _Clock) -> Result:
        assert self._last is not None, "a run has at least its end"
        outcome: Any = self._last.outcome
        title = self._last.text
        swap = self._data.get("swap")
        result = Result(
            host,
            outcome,
            title,
            run_id=run_id,
            elapsed_s=clock.elapsed_s,
            steps_s={**clock.laps, **self._steps_s},
            tally=from_json(SwapTally, swap) if swap else None,
            log=tuple(str(line) for line in self._data.get("log", ())),
        )
        if outcome in ("undone", "broken"):
            failure = self._failure
            undone = "all of it was taken back" if outcome == "undone" else "the undo failed too"
            error = RunError(
                failure.text if failure else title, undone, f"aiconsole runs attach {host} {run_id}"
            )
            result = replace(result, error=error)
        return result
