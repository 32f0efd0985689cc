from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import partial

import pytest

from aiconsole.errors import RefusedError
from aiconsole.fleet.host import Host
from aiconsole.tui.app import ConsoleApp
from aiconsole.tui.commands import registry
from aiconsole.tui.commands.command import EVERYWHERE
from aiconsole.tui.commands.typed import completions, parse
from tests.tui.doubles import Script, fleet, up
from tests.tui.screenful import SMALL, row, running, text, until


def _has_theme(app: ConsoleApp, name: str) -> bool:
    return app.theme == name


def two_hosts() -> Script:
    return Script((Host("web1"), Host("web2")), fleet(up("web1"), up("web2")))


@pytest.mark.parametrize("view", sorted(EVERYWHERE))
def test_a_key_means_one_thing_in_a_view(view: str) -> None:
    keys = Counter(key for c in registry.COMMANDS if view in c.views for key in c.keys)
    assert [key for key, number in keys.items() if number > 1] == []


def test_every_command_says_what_it_does() -> None:
    names = [command.name for command in registry.COMMANDS]
    assert len(set(names)) == len(names)
    for command in registry.COMMANDS:
        assert command.tooltip.endswith(".")
        assert command.label


def test_no_ctrl_letter_changes_a_host() -> None:
    for command in registry.COMMANDS:
        if any(key.startswith("ctrl+") for key in command.keys):
            assert command.name in ("palette", "quit")


async def test_completion_knows_commands_and_hosts() -> None:
    async with running(two_hosts()) as (app, _):
        desk = app.desk
        assert completions("dep", desk) == ("deploy",)
        assert completions("deploy w", desk) == ("deploy web1", "deploy web2")
        assert completions("deploy web1 ", desk) == ("deploy web1 web2",)
        assert completions("host web1 ", desk) == ()
        assert "theme light" in completions("theme li", desk)
        assert completions("nonsense ", desk) == ()


async def test_typed_lines_are_read_strictly() -> None:
    async with running(two_hosts()) as (app, _):
        assert parse(":deploy web1", app.desk)[1] == ("web1",)
        for wrong in ("fly", "", 'deploy "web1', "abort"):
            with pytest.raises(RefusedError):
                parse(wrong, app.desk)


async def test_the_command_line_opens_a_host_and_remembers() -> None:
    async with running(two_hosts()) as (app, pilot):
        await pilot.press("colon", *"ho", "tab", *"web2", "enter")
        await until(pilot, lambda: app.desk.view_name == "host")
        assert app.desk.targets == ("web2",)
        await pilot.press("colon", "up")
        assert "host web2" in text(app)
        await pilot.press("escape")
        assert app.desk.view_name == "host"


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("fly", "No such command"),
        ("deploy nowhere", "nowhere is not in the fleet"),
        ("theme nonsense", "No such theme"),
        ("attach", "a host and a run are needed"),
        ("rollback one two", "One release at a time"),
    ],
)
async def test_a_wrong_line_is_refused_with_the_reason(typed: str, reason: str) -> None:
    script = two_hosts()
    async with running(script) as (app, pilot):
        keys = ["space" if char == " " else char for char in typed]
        await pilot.press("colon", *keys, "enter")
        await until(pilot, lambda: reason in text(app))
        assert script.calls == []


async def test_readonly_turns_off_what_changes_hosts_and_says_why() -> None:
    script = two_hosts()
    async with running(script, readonly=True) as (app, pilot):
        assert "read-only" in text(app).splitlines()[0]
        assert "(d deploy)" in text(app)
        for key in ("d", "r", "b", "s", "S"):
            await pilot.press(key)
        await pilot.press("colon", *"stop", "space", *"web1", "enter")
        await until(pilot, lambda: "the console was started with --readonly" in text(app))
        await pilot.press("colon", *"cancel", "space", *"web1", "space", "r", "enter")
        await pilot.pause()
        assert script.calls == []
        assert script.cancelled == []


async def test_escape_never_leaves_the_console_and_q_does() -> None:
    async with running(two_hosts()) as (app, pilot):
        await pilot.press("enter", "escape", "escape", "escape")
        assert app.is_running
        assert app.desk.view_name == "fleet"
        await pilot.press("enter", "q")
        assert app.is_running
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)


async def test_help_is_made_of_what_the_keys_do_here() -> None:
    async with running(two_hosts(), readonly=True) as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys here" in text(app))
        shown = text(app)
        assert "Not now: the console was started with --readonly." in shown
        assert "Mark the host under the cursor" in shown
        await pilot.press("escape", "enter", "question_mark")
        await until(pilot, lambda: "Keys here" in text(app))
        assert "Mark the host under the cursor" not in text(app)
        seen = text(app)
        for _ in range(4):
            await pilot.press("pagedown")
            seen += text(app)
        assert "Enlarge CPU, or make it small again" in seen
        assert ":deploy [HOST...]" in seen
        assert "leaves out, in this order" in seen


async def test_help_cuts_no_word_on_a_small_screen() -> None:
    async with running(two_hosts(), SMALL) as (app, pilot):
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys here" in text(app))
        assert "served until" in row(app, "it is started")


async def test_the_palette_offers_what_can_be_done() -> None:
    async with running(two_hosts()) as (app, pilot):
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Restart the service" in text(app))
        assert ":rollback [HOST] [RELEASE]" in text(app)
        await pilot.press(*"hold the screen", "enter")
        await until(pilot, lambda: app.state.paused)


async def test_the_footer_keeps_help_and_quit_on_a_narrow_terminal() -> None:
    async with running(two_hosts(), SMALL) as (app, pilot):
        last = text(app).splitlines()[-1]
        assert "? help" in last
        assert "q quit" in last
        await pilot.press("enter")
        assert "q back" in text(app).splitlines()[-1]


async def test_a_theme_is_chosen_by_its_name() -> None:
    async with running(two_hosts()) as (app, pilot):
        for name in ("light", "terminal", "nord"):
            await pilot.press("colon", *"theme", "space", *name, "enter")
            await until(pilot, partial(_has_theme, app, name))
            assert "web1" in text(app)


async def test_a_failure_nobody_expected_is_told_and_logged() -> None:
    script = two_hosts()

    def broken(verb: str, ask: object) -> object:
        raise ZeroDivisionError("a bug")

    script.play = broken  # type: ignore[assignment]
    async with running(script) as (app, pilot):
        await pilot.press("d")
        await until(pilot, lambda: "The console made a mistake" in text(app))
        assert "ZeroDivisionError at test_commands.py:" in text(app)
        assert app.is_running
        from aiconsole import paths

        logged = (paths.state_dir() / "console.log").read_text()
        assert "ZeroDivisionError" in logged
        assert 'raise ZeroDivisionError("a bug")' in logged
        assert "ZeroDivisionError: a bug" not in logged


def test_the_first_frame_waits_for_no_ssh_and_no_plot() -> None:
    code = (
        "import sys, aiconsole.tui.app; "
        "print([n for n in ('asyncssh', 'plotext', 'cryptography', 'pydantic', 'typer') "
        "if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
