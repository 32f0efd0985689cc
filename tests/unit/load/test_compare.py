"""Two reports beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiconsole.errors import SettingsError
from aiconsole.load.compare import compare, read_report, save_report
from aiconsole.load.crew import Beat
from aiconsole.load.progress import Progress
from aiconsole.load.report import exit_code, report_of
from aiconsole.load.spec import Pace, Shape, Spec
from tests.unit.load.test_tally import quick


def report(clients: int = 4, **changes: Any) -> dict[str, Any]:
    progress = Progress(Spec("http://x", Shape(model="m"), Pace(clients=clients)), 0.0)
    progress.add(Beat(0, quick(), 0, 0.25, 0.01, 1.0))
    found = report_of(progress, "http://x", 1, ())
    for name, value in changes.items():
        table, field = name.split("__")
        found[table][field] = value
    return found


def verdicts(before: dict[str, Any], now: dict[str, Any]) -> dict[str, str]:
    return {line.name: line.verdict for line in compare(before, now).lines}


def test_the_same_again_is_the_same() -> None:
    assert set(verdicts(report(), report()).values()) <= {"same", "unknown"}


def test_more_is_better_for_rates_and_worse_for_times() -> None:
    before = report(rates__requests_per_s=100.0, latency_s__p50=0.1, latency_s__p99=0.2)
    now = report(rates__requests_per_s=120.0, latency_s__p50=0.12, latency_s__p99=0.22)
    found = verdicts(before, now)
    assert (found["requests/s"], found["latency p50"]) == ("better", "worse")
    assert found["latency p99"] == "same"  # a tail may differ by more
    back = verdicts(now, before)
    assert (back["requests/s"], back["latency p50"]) == ("worse", "better")


def test_new_failures_are_worse() -> None:
    found = compare(report(), report(requests__failed=1)).lines[-1]
    assert (found.name, found.verdict, found.ratio) == ("failed share", "worse", None)


def test_different_kinds_get_no_verdict_and_say_why() -> None:
    found = compare(report(4), report(8, kind__model="other"))
    assert found.differences == ("model: m before, other now", "clients: 4 before, 8 now")
    assert {line.verdict for line in found.lines} == {"differs"}


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    save_report(path, report())
    save_report(path, report(8))
    assert read_report(path)["kind"]["clients"] == 8
    assert [child.name for child in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not JSON"), ("[]", "format"), ('{"aiconsole_bench": 99}', "format"),
     ('{"aiconsole_bench": 1, "kind": 3}', "no table kind"), ("[" * 100_000, "not JSON")],
)  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        read_report(path)
    assert said in caught.value.detail


def test_values_of_another_type_are_unknown() -> None:
    before = json.loads(json.dumps(report()))
    before["latency_s"] = {"p50": "fast"}
    assert verdicts(before, report())["latency p50"] == "unknown"


def test_a_place_that_takes_no_report(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        save_report(tmp_path / "none" / "run.json", report())


def test_exit_codes() -> None:
    assert exit_code(report()) == 0
    assert exit_code(report(requests__failed=1)) == 1
    assert exit_code(report(client__limited=["late"])) == 1
    assert exit_code(report(requests__answered=0)) == 2
