"""A run that could not be launched, and one of which nobody knows whether it was."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from aiconsole.onhost.runner import start
from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.runner.journal import Journal, read_events
from aiconsole.onhost.runner.record import RunRecord
from tests.unit.runner.place import Place, hold_for_ever


def begin(place: Place, monkeypatch: pytest.MonkeyPatch, fault: Fault, runner: bool) -> Path:
    """Have a launch fail, with or without a runner at work; returns the run's directory."""
    plan = place.plan()
    child = 0

    def launch(record: RunRecord, tool_path: str) -> None:
        nonlocal child
        child = os.fork() if runner else 0
        if runner and child == 0:
            hold_for_ever(plan, lambda: Journal(record.journal_path).write("run-started"))
        while runner and not read_events(record.journal_path):
            time.sleep(0.01)
        raise fault

    monkeypatch.setattr(start, "launch", launch)
    with pytest.raises(Fault) as caught:
        start._begin(plan, {"key": "sesame"}, "")
    assert caught.value is fault
    if child:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return Path(plan.layout.run_dir(plan.run_id))


@pytest.mark.parametrize("code", ["busy", "no-runtime"])
def test_a_run_that_was_not_launched_leaves_no_trace(
    place: Place, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    fault = Fault(code, "nobody can")  # type: ignore[arg-type]
    assert not begin(place, monkeypatch, fault, runner=False).exists()


def test_a_run_whose_launch_was_not_answered_keeps_what_its_undo_needs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Fault("no-runtime", "systemd does not answer")
    directory = begin(place, monkeypatch, fault, runner=True)
    assert (directory / "plan.json").is_file()
    assert (directory / "undo").is_dir()
