"""Operations told from their beginning to their end, in real event objects."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

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
from aiconsole.errors import NotConfirmedError, RunError
from aiconsole.onhost.wire import (
    CheckReport,
    FileStep,
    HostLayout,
    Plan,
    RunEvent,
    RunSummary,
    StepCheck,
    SwapStep,
    SwapTally,
    UnpackStep,
    UserStep,
)
from aiconsole.question import Ask, Question

RUN_ID = "20261120T165700Z-3f9a2c"
LAYOUT = HostLayout.system()
DIFF = """--- /opt/aiconsole/releases/builtin-3f9a2c81/settings.toml
+++ /opt/aiconsole/releases/builtin-91ce02aa/settings.toml
@@ -1,3 +1,3 @@
 [service]
-slots = 2
+slots = 4
"""


def plan_ready(host: str, *notes: str) -> PlanReady:
    """Four steps, three of which change something."""
    plan = Plan(
        RUN_ID, f"Deploy builtin-91ce02aa to {host}", "inferd", LAYOUT,
        (
            UserStep("user", "User aiconsole", "aiconsole"),
            UnpackStep("layer-engine", "Unpack the engine (102 MB)", LAYOUT.layer("3f" * 32),
                       LAYOUT.upload("3f" * 32), "3f" * 32, 250_000_000),
            FileStep("settings", "Settings of the release", "/opt/aiconsole/x", "slots = 4\n"),
            SwapStep("swap", "Serve with builtin-91ce02aa", LAYOUT, "builtin-91ce02aa"),
        ),
        "ada@desk",
    )  # fmt: skip
    report = CheckReport(
        (
            StepCheck("user", "none"),
            StepCheck("layer-engine", "create", note="102 MB into /opt/aiconsole/layers/3f3f…"),
            StepCheck("settings", "change", diff=DIFF),
            StepCheck("swap", "act", note="slot b takes over from slot a"),
        )
    )
    return PlanReady(host, plan, report, 102_000_000, notes)


def advanced(
    host: str, seq: int, kind: str, step: str = "", text: str = "", **more: object
) -> RunAdvanced:
    """One line of the run's journal."""
    event = RunEvent(seq, time.time(), kind, step, text, **more)  # type: ignore[arg-type]
    return RunAdvanced(host, RUN_ID, event)


def preparation(host: str, *notes: str) -> list[Event]:
    """Up to the plan."""
    return [
        PhaseStarted(host, "connect", f"Connect to root@{host}"),
        PhaseStarted(host, "inspect", "Look at the host"),
        PhaseStarted(host, "build", "Build the layers"),
        PhaseStarted(host, "check", "Compare the host with the plan"),
        plan_ready(host, *notes),
    ]


def upload(host: str) -> list[Event]:
    """Halfway through the bytes."""
    return [
        PhaseStarted(host, "upload", "Send 102 MB"),
        Progress(host, "upload", "the engine", 0, 102_000_000),
        Progress(host, "upload", "the engine", 51_000_000, 102_000_000),
    ]


def run(host: str) -> list[Event]:
    """The run up to the swap."""
    return [
        PhaseStarted(host, "run", "Run the plan on the host"),
        advanced(host, 0, "run-started"),
        advanced(host, 1, "step-unchanged", "user"),
        advanced(host, 2, "step-started", "layer-engine"),
        advanced(host, 3, "step-progress", "layer-engine", done_bytes=40, total_bytes=102),
        advanced(host, 4, "step-done", "layer-engine"),
        advanced(host, 5, "step-started", "settings"),
        advanced(host, 6, "step-done", "settings"),
        advanced(host, 7, "step-started", "swap", "slot b loads the model"),
    ]


def success(host: str) -> list[Event]:
    """The swap went well."""
    return [
        advanced(host, 8, "step-done", "swap"),
        advanced(host, 9, "run-finished", outcome="done"),
        Result(
            host, "done", f"{host} serves builtin-91ce02aa", RUN_ID, "builtin-91ce02aa",
            "http://127.0.0.1:8480", 12.34, tally=SwapTally(3.2, 2.1, 1234, 0, 64, 0, 0.0123),
        ),
    ]  # fmt: skip


def failure(host: str) -> list[Event]:
    """The new release did not start; everything was taken back."""
    log = ("loading model", "error: \x1b[31mnot enough memory\x1b[0m", "exit 1")
    return [
        advanced(host, 8, "step-failed", "swap", "slot b ended while it loaded",
                 data={"log": list(log)}),
        advanced(host, 9, "undo-started", text="slot b ended while it loaded"),
        advanced(host, 10, "step-undone", "settings"),
        advanced(host, 11, "run-finished", outcome="undone"),
        Result(
            host, "undone", "The new release did not start; the old one serves", RUN_ID,
            elapsed_s=8.1, log=log,
            error=RunError("The new release did not start", "slot b ended with status 1",
                           "read its last lines above"),
        ),
    ]  # fmt: skip


def link_lost(host: str) -> LinkChanged:
    """The line is dead."""
    return LinkChanged(host, "unknown", "no answer from root@web1 for 9 s")


def busy(host: str) -> Busy:
    """Somebody else is at work."""
    summary = RunSummary(RUN_ID, "Deploy x to web1", "inferd", "bob@laptop", time.time() - 60, 0.0,
                         "running")  # fmt: skip
    return Busy(host, summary)


async def deploy(
    host: str, ask: Ask, *tail: Event, notes: tuple[str, ...] = ()
) -> AsyncIterator[Event]:
    """A deploy that asks, and goes on with `tail` after a yes."""
    for event in preparation(host, *notes):
        yield event
    question = Question(
        "confirm", f"Deploy builtin-91ce02aa to {host}?",
        "3 of 4 steps change something, 102 MB to send. Users notice nothing.", danger=True,
    )  # fmt: skip
    if await ask(question) is not True:
        error = NotConfirmedError("Nothing was changed", "the question was answered with no")
        yield Result(host, "refused", "Nothing was changed", error=error)
        return
    for event in tail:
        yield event
