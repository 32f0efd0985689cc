"""Running the console in a test, and reading what stands on its screen."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from rich.console import Console
from textual.pilot import Pilot

from aiconsole.tui.app import ConsoleApp
from tests.tui.doubles import Script

WIDE = (120, 40)
SMALL = (80, 24)


@asynccontextmanager
async def running(
    script: Script, size: tuple[int, int] = WIDE, **options: Any
) -> AsyncGenerator[tuple[ConsoleApp, Pilot[None]], None]:
    """The console over a script, once its first readings are shown."""
    options.setdefault("theme_name", "dark")
    app = ConsoleApp(script.open, **options)
    async with app.run_test(size=size, notifications=True) as pilot:
        if script.open_error is None:
            await until(pilot, lambda: app.state.hosts is not None)
            await until(pilot, lambda: app.state.snapshot.seq == script.snapshot.seq)
        await pilot.pause()
        yield app, pilot


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Let the app work until something holds."""
    for _ in range(400):
        if condition():
            await pilot.pause()
            return
        await pilot.pause(0.01)
    raise AssertionError(f"never came true; the screen:\n{text(pilot.app)}")


def text(app: Any) -> str:
    """What stands on the screen, with what lies under a question."""
    width, height = app.size
    console = Console(
        width=width, height=height, file=io.StringIO(), force_terminal=True,
        color_system="truecolor", record=True, legacy_windows=False, safe_box=False,
    )  # fmt: skip
    update = app.screen._compositor.render_update(
        full=True, screen_stack=app._background_screens, simplify=True
    )
    console.print(update)
    return console.export_text(styles=False)


def row(app: Any, words: str) -> str:
    """The first line of the screen that holds these words."""
    for line in text(app).splitlines():
        if words in line:
            return line
    raise AssertionError(f"{words!r} is nowhere on the screen:\n{text(app)}")
