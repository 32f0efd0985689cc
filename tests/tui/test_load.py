"""The screenful of a load, at the sizes that terminals have."""

from __future__ import annotations

import pytest

from aiconsole.load.crew import Beat
from aiconsole.load.failure import FailedError
from aiconsole.load.progress import Point, Progress
from aiconsole.load.spec import Pace, Shape, Spec
from aiconsole.load.strain import strain_of
from aiconsole.tui.present.line import columns_of, text_of
from aiconsole.tui.present.load import screenful
from tests.unit.load.test_tally import quick


def drawn(columns: int, rows: int, points: int = 30, *, kinds: int = 0) -> list[str]:
    progress = Progress(Spec("http://x", Shape(model="m"), Pace(rate=10.0)), 0.0)
    tally = quick()
    for number in range(kinds):
        tally.fail(FailedError(f"kind {number}", "\x1b[2J text"))
    progress.add(Beat(0, tally, 3, 0.25, 0.01, 1.0))
    progress.points += [Point(n, 10.0, 0.0, 0.01, 0.05, 3) for n in range(points)]
    lines = screenful(progress, strain_of(progress, 1), "http://x", columns, rows, 12.0)
    assert len(lines) == rows
    assert {columns_of(line) for line in lines} == {columns}
    return [text_of(line).rstrip() for line in lines]


@pytest.mark.parametrize("size", [(80, 24), (79, 24), (200, 60), (40, 12), (20, 5), (10, 1)])
@pytest.mark.parametrize("kinds", [0, 1, 9])
def test_it_fills_the_terminal_and_no_more(size: tuple[int, int], kinds: int) -> None:
    drawn(*size, kinds=kinds)


def test_what_it_says() -> None:
    lines = drawn(80, 24, kinds=5)
    assert lines[0].startswith("load http://x  m chat, 10/s")
    assert lines[0].endswith("12 s of 30 s")
    shown = "\n".join(lines)
    assert "failed 5 !" in shown
    assert r"kind 0  \x1b[2J text" in shown
    assert "and 2 other kinds" in shown
    assert "p99 of a second 50.0 ms" in shown
    assert lines[-1] == "Ctrl-C ends it and reports"


def test_hours_are_drawn_as_fast_as_minutes() -> None:
    assert any("┤" in line for line in drawn(80, 24, points=20_000))
