"""The console's own record of what it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiconsole.control.events import Result
from aiconsole.control.ledger import ledger_file, note_run
from aiconsole.control.plan import make_plan
from aiconsole.onhost.wire import HostLayout

PLAN = make_plan("Restart r1 on web1", HostLayout.system(), [])


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_each_run_leaves_one_private_line() -> None:
    for outcome in ("done", "undone"):
        note_run(PLAN, Result("web1", outcome, "said"))
    lines = [json.loads(line) for line in ledger_file().read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["done", "undone"]
    assert {line["run_id"] for line in lines} == {PLAN.run_id}
    assert ledger_file().stat().st_mode & 0o777 == 0o600


def test_a_ledger_that_cannot_be_written_hides_no_result() -> None:
    ledger_file().mkdir()
    note_run(PLAN, Result("web1", "done", "said"))
    assert ledger_file().is_dir()
