from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from aiconsole.cli import local, screen
from aiconsole.cli.app import app


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """How the screen was opened; it ends with 7."""
    calls: list[dict[str, object]] = []

    def open_screen(**options: object) -> int:
        calls.append(options)
        return 7

    monkeypatch.setattr(screen, "open_screen", open_screen)
    return calls


def test_the_screen_takes_the_options_of_the_root(opened: list[dict[str, object]]) -> None:
    words = ["--readonly", "--ascii", "--theme", "light", "--interval", "5", "--host", "web1"]
    assert CliRunner().invoke(app, words).exit_code == 7
    assert opened == [
        {"readonly": True, "ascii_only": True, "theme": "light", "interval_s": 5.0, "host": "web1"}
    ]


def test_without_options_the_screen_chooses(opened: list[dict[str, object]]) -> None:
    assert CliRunner().invoke(app, []).exit_code == 7
    assert opened == [
        {"readonly": False, "ascii_only": False, "theme": "", "interval_s": 2.0, "host": ""}
    ]


@pytest.mark.parametrize("words", [["--readonly"], ["--host", "web1"], ["--interval", "2"]])
def test_a_command_does_not_swallow_an_option_of_the_screen(
    opened: list[dict[str, object]], words: list[str]
) -> None:
    done = CliRunner().invoke(app, [*words, "down"])
    assert done.exit_code == 2
    assert "only the screen knows it" in done.output
    assert opened == []


def test_an_interval_that_floods_the_line_is_refused(opened: list[dict[str, object]]) -> None:
    assert CliRunner().invoke(app, ["--interval", "0.1"]).exit_code == 2
    assert opened == []


def test_up_opens_the_screen_on_this_machine(
    opened: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def served(*_: object) -> int:
        return 0

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(local, "_up", served)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    with pytest.raises(typer.Exit) as ended:
        local.up()
    assert ended.value.exit_code == 7
    assert opened == [{"host": "localhost"}]
