from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aiconsole import tui
from aiconsole.control.events import Event
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import GpuReading, RunSummary
from aiconsole.question import Ask
from aiconsole.tui.present.charset import speaks_unicode, to_ascii
from aiconsole.tui.theme import fitting_theme
from tests.tui import story
from tests.tui.doubles import Script, down, fleet, frame, up, with_gpus
from tests.tui.screenful import SMALL, WIDE, running, text, until


def busy() -> Script:
    gpu = with_gpus(frame(errors_per_s=1.0), GpuReading(0, "u", "NVIDIA Größe", 83.0))
    return Script(
        (Host("web1"), Host("web2")), fleet(up("web1", gpu), down("web2"), up("old", age_s=5))
    )


def told() -> Script:
    """A fleet with a run at work, and an operation that asks and fails."""
    script = busy()
    script.runs = (RunSummary("r1", "Deploy x to web1", "inferd", "ada", 1.0, 9.0, "undone"),)

    async def play(verb: str, ask: Ask) -> AsyncIterator[Event]:
        tail = [*story.upload("web1"), *story.run("web1"), *story.failure("web1")]
        async for event in story.deploy("web1", ask, *tail, notes=("Größe – µ",)):
            yield event

    script.play = play
    return script


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_ascii_means_every_character_of_every_screen(size: tuple[int, int]) -> None:
    walk = (
        "space", "slash", "w", "escape", "escape", "enter", "2", "escape", "7", "escape", "p", "p",
        "question_mark", "pagedown", "pagedown", "escape", "colon", "d", "tab", "space", "escape",
        "ctrl+p", "escape", "escape", "d", "y", "d", "question_mark", "escape", "r", "q",
    )  # fmt: skip
    async with running(told(), size, ascii_only=True) as (app, pilot):
        for key in walk:
            await pilot.press(key)
            shown = text(app)
            odd = {char for char in shown if not char.isascii()}
            assert not odd, f"after {key}: {odd}"
        assert "?" not in shown.replace("? help", "")


def test_no_sign_of_the_console_becomes_a_question_mark() -> None:
    for file in Path(tui.__file__).parent.rglob("*.py"):
        signs = {char for char in file.read_text(encoding="utf-8") if not char.isascii()}
        lost = {sign for sign in signs if to_ascii(sign) == "?"}
        assert not lost, f"{file.name}: {lost}"


def test_ascii_keeps_the_width() -> None:
    shown = "╭─ ● up ▁▂▃ ⣿⣷ ━─ Größe ✗…"
    assert to_ascii(shown).isascii()
    assert len(to_ascii(shown)) == len(shown)


async def test_the_terminals_own_colours_are_all_that_the_terminal_theme_uses() -> None:
    async with running(busy(), theme_name="terminal") as (app, pilot):
        for keys in ([], ["enter"], ["question_mark"]):
            await pilot.press(*keys)
            await pilot.pause()
            strips = app.screen._compositor.render_strips()
            colours = {
                colour
                for strip in strips
                for segment in strip
                if segment.style
                for colour in (segment.style.color, segment.style.bgcolor)
                if colour is not None
            }
            assert all(c.is_default or (c.number is not None and c.number < 16) for c in colours)


async def test_no_color_sends_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(busy(), theme_name="") as (app, _):
        assert app.theme == "terminal"
        update: Any = app.screen._compositor.render_update(full=True)
        sent = update.render_segments(app.console)
        codes = {code for sgr in re.findall(r"\x1b\[([0-9;]*)m", sent) for code in sgr.split(";")}
        assert codes <= {"", "0", "1", "2", "7", "22", "39", "49"}


@pytest.mark.parametrize(
    ("environ", "theme"),
    [
        ({"TERM": "xterm-256color"}, "dark"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "dark"),
        ({"TERM": "xterm"}, "terminal"),
        ({"TERM": "linux"}, "terminal"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "terminal"),
    ],
)
def test_the_theme_follows_what_the_terminal_can_do(environ: dict[str, str], theme: str) -> None:
    assert fitting_theme(environ) == theme


@pytest.mark.parametrize(
    ("environ", "speaks"),
    [
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "C"}, False),
        ({"LC_ALL": "C.utf8", "LANG": "C"}, True),
        ({}, True),
        ({"TERM": "linux", "LANG": "C.UTF-8"}, False),
    ],
)
def test_ascii_is_chosen_where_the_terminal_knows_no_utf8(
    environ: dict[str, str], speaks: bool
) -> None:
    assert speaks_unicode(environ) is speaks


async def test_states_are_told_without_colour_too() -> None:
    async with running(busy(), SMALL, theme_name="terminal") as (app, pilot):
        shown = text(app)
        for sign in ("● up", "✗ unreachable", "◐ stale", "✗1"):
            assert sign in shown
        await until(pilot, lambda: "▌" in text(app))
