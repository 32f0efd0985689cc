"""Events as people and scripts read them."""

from __future__ import annotations

import json

import pytest

from aiconsole.cli import render
from aiconsole.cli.render import JsonRenderer, LineRenderer
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
from aiconsole.errors import BusyError, PreflightError, RunError
from aiconsole.onhost.wire import (
    CheckReport,
    DirectoryStep,
    FileStep,
    HostLayout,
    Plan,
    RunEvent,
    RunSummary,
    StepCheck,
    SwapTally,
)
from aiconsole.secret import Secret

PLAN = Plan(
    "run-1", "Deploy m-1 to web1", "inferd", HostLayout.system(),
    (
        DirectoryStep("opt", "Directory of the installation", "/opt/aiconsole"),
        FileStep("settings", "Its settings", "/etc/aiconsole/settings.toml", "x"),
        FileStep("unit", "The \x1b[2J unit", "/etc/systemd/system/x", "x"),
    ),
)  # fmt: skip


def lines(*events: Event, several: bool = False, brief: bool = False) -> LineRenderer:
    renderer = LineRenderer(several_hosts=several, brief=brief)
    for event in events:
        renderer.show(event)
    return renderer


def plan(*checks: StepCheck, upload_bytes: int = 0, notes: tuple[str, ...] = ()) -> PlanReady:
    return PlanReady("web1", PLAN, CheckReport(checks), upload_bytes, notes)


def test_a_plan_shows_what_would_change(capsys: pytest.CaptureFixture[str]) -> None:
    diff = "\n".join(f"+line {number}" for number in range(40))
    lines(plan(
        StepCheck("opt", "none"),
        StepCheck("settings", "change", diff, "9 bytes"),
        StepCheck("unit", "create", diff),
        upload_bytes=45_800_000, notes=("requests will wait",),
    ))  # fmt: skip
    out = capsys.readouterr().out
    assert out.startswith("plan     Deploy m-1 to web1  (run run-1)\n")
    assert "\n  ~ Its settings  (9 bytes)\n      +line 0\n" in out
    assert "\n      … 16 more lines, whole with --json\n" in out
    assert "\n  + The \\x1b[2J unit\n" in out
    assert "\n      … 32 more lines, whole with --json\n" in out, "a new file is cut shorter"
    assert out.endswith(
        "  = 1 step finds nothing to change\n  45.8 MB to send\n  ! requests will wait\n"
    )


def test_a_plan_that_cannot_be_carried_out_is_left_to_its_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines(plan(StepCheck("opt", "create"), StepCheck("settings", "unknown", problem="no room")))
    assert len(capsys.readouterr().out.splitlines()) == 1


def run_event(kind: str, step_id: str, at: float, text: str = "") -> RunAdvanced:
    return RunAdvanced("web1", "run-1", RunEvent(0, at, kind, step_id, text))  # type: ignore[arg-type]


def test_a_run_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    lines(
        plan(StepCheck("opt", "create"), StepCheck("settings", "none"), StepCheck("unit", "none")),
        run_event("step-started", "opt", 10.0),
        run_event("step-done", "opt", 11.5),
        run_event("step-failed", "unit", 12.0, "no \x1b]0;x\x07"),
        run_event("undo-started", "unit", 12.0, "taking back"),
        run_event("step-undone", "opt", 13.0),
    )
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "  ✓ Directory of the installation  1.50 s",
        "  ✗ The \\x1b[2J unit: no \\x1b]0;x\\x07",
        "  ! taking back",
        "  ↶ Directory of the installation",
    ]


def test_a_log_tells_of_a_long_load_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "_QUIET_S", 0.0)
    lines(run_event("step-progress", "swap", 10.0, "loading the model 43%"))
    assert capsys.readouterr().out == "  … loading the model 43%\n"
    monkeypatch.setattr(render, "_QUIET_S", 5.0)
    lines(run_event("step-progress", "swap", 10.0, "loading the model 44%"))
    assert capsys.readouterr().out == ""


def test_an_end_says_why_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = RunError("slot a did not start", "all of it was taken back", "aiconsole runs attach")
    lines(Result("web1", "undone", "", elapsed_s=2.5, error=error, log=("it\x1b[2J said",)))
    assert capsys.readouterr().out.splitlines() == [
        "failed, and taken back in 2.50 s: slot a did not start",
        "    all of it was taken back",
        "  → aiconsole runs attach",
        "  | it\\x1b[2J said",
    ]


def test_several_failures_stand_on_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    error = PreflightError("web1 is not ready", "no room\nno python3", "Free space\nInstall it")
    lines(Result("web1", "refused", error.title, error=error), several=True)
    assert capsys.readouterr().out.splitlines() == [
        "web1         nothing was changed: web1 is not ready",
        "web1             no room",
        "web1             no python3",
        "web1           → Free space",
        "web1           → Install it",
    ]


def test_what_became_of_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    busy = BusyError("web1 is being changed by ann", "run r", "watch it")
    lines(
        PhaseStarted("web1", "connect", "Connect to \x07web1"),
        LinkChanged("web1", "unknown", "lost\x1b"),
        Busy("web1", RunSummary("r\x1b", "", "inferd", "ann\x1b", 1.0, 0.0, "running")),
        Result("web1", "refused", busy.title, error=busy),
        Result("web2", "skipped", "web1 did not end well"),
        Result("web3", "unchanged", "Nothing to change"),
    )
    assert capsys.readouterr().out.splitlines() == [
        "connect  Connect to \\x07web1",
        "link     unknown: lost\\x1b",
        "busy     ann\\x1b runs r\\x1b",
        "nothing was changed: web1 is being changed by ann",
        "    run r",
        "  → watch it",
        "skipped: web1 did not end well",
        "nothing to change",
    ]


def test_a_service_on_loopback_is_brought_here(capsys: pytest.CaptureFixture[str]) -> None:
    tally = SwapTally(1.0, 0.5, 1200, 0, 20, 0, 0.03)
    done = Result("web1", "done", "", url="http://127.0.0.1:8480", elapsed_s=3.0, tally=tally)
    lines(done)
    assert capsys.readouterr().out.splitlines() == [
        "done in 3.00 s",
        "during the swap: 1,200 requests served, 0 failed; 20 probes, 0 failed, "
        "longest wait 30.0 ms",
        "inferd answers on http://127.0.0.1:8480 of web1",
        "  → bring it here: aiconsole forward web1",
    ]


def test_progress_without_a_terminal_fills_no_screen(capsys: pytest.CaptureFixture[str]) -> None:
    lines(*(Progress("web1", "upload", "Send", n, 100) for n in range(101)))
    assert capsys.readouterr().out == ""


def test_brief_leaves_out_what_goes_well(capsys: pytest.CaptureFixture[str]) -> None:
    lines(
        plan(StepCheck("opt", "create"), StepCheck("settings", "none"), StepCheck("unit", "none")),
        run_event("step-started", "opt", 1.0),
        run_event("step-done", "opt", 2.0),
        brief=True,
    )
    assert capsys.readouterr().out == "plan     Deploy m-1 to web1  (run run-1)\n"


def test_json_has_each_event_on_a_line_and_the_key_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    renderer = JsonRenderer()
    error = RunError("broke\x1b[2J", "", "look")
    renderer.show(run_event("step-started", "opt", 1.0))
    renderer.show(Result("web1", "done", "fine", client_key=Secret("ak-1")))
    renderer.show(Result("web1", "broken", "bad", error=error))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    started, done, broken = map(json.loads, out.splitlines())
    assert started["journal"]["step_id"] == "opt"
    assert (done["client_key"], done["exit_code"], done["error"]) == ("ak-1", 0, None)
    assert (broken["exit_code"], broken["error"]["hint"]) == (2, "look")
