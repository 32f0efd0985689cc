"""Tables and fields of plain text."""

from __future__ import annotations

import pytest

from aiconsole.cli.output import print_fields, print_table
from aiconsole.units import UNKNOWN, moment_text


def test_a_row_may_say_something_else_instead(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("web1", "ready", "m-1"), ("dead", "dead refused the connection")]
    print_table(("HOST", "INFERD", "RELEASE"), rows)
    assert capsys.readouterr().out.splitlines() == [
        "HOST  INFERD  RELEASE",
        "web1  ready   m-1",
        "dead  dead refused the connection",
    ]


def test_hostile_cells_keep_their_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [("\x1b[2J", "x"), ("y", "z")])
    assert capsys.readouterr().out.splitlines() == ["A        B", "\\x1b[2J  x", "y        z"]


def test_fields_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("system", "Debian\n12"), ("up", "1 s")])
    assert capsys.readouterr().out.splitlines() == ["system  Debian\\n12", "up      1 s"]


@pytest.mark.parametrize("wrong", [0, -1, 1e300, float("inf"), float("nan"), "now", None, [1]])
def test_what_is_no_time_is_unknown(wrong: object) -> None:
    assert moment_text(wrong) == UNKNOWN


def test_a_time() -> None:
    assert moment_text(86400.0 * 365, "%Y") == "1971"
