from __future__ import annotations

import re
from typing import Any

import pytest

from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import GpuReading
from aiconsole.tui.ascii import to_ascii
from aiconsole.tui.theme import fitting_theme, speaks_unicode
from tests.tui.doubles import Script, down, fleet, frame, up, with_gpus
from tests.tui.screenful import SMALL, running, text, until


def busy() -> Script:
    gpu = with_gpus(frame(errors_per_s=1.0), GpuReading(0, "u", "NVIDIA Größe", 83.0))
    return Script(
        (Host("web1"), Host("web2")), fleet(up("web1", gpu), down("web2"), up("old", age_s=5))
    )


async def test_ascii_means_every_character() -> None:
    async with running(busy(), ascii_only=True) as (app, pilot):
        for key in ("space", "enter", "2", "escape", "question_mark", "escape"):
            await pilot.press(key)
            await pilot.pause()
            assert text(app).isascii(), f"after {key}"


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
