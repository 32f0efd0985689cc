"""Typed lines with options: what is read, what is refused in place, and how they are completed."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.events import Key
from textual.pilot import Pilot

from aiconsole.cli import operate as cli
from aiconsole.control.events import Event
from aiconsole.control.options import DeployOptions, RestartOptions
from aiconsole.errors import RefusedError
from aiconsole.fleet.host import Host
from aiconsole.models.add import Choices, add_model
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.source import FileSource
from aiconsole.onhost.wire import RunSummary
from aiconsole.question import Ask
from aiconsole.tui.app import ConsoleApp
from aiconsole.tui.commands import service_options
from aiconsole.tui.commands.options import Option, read_options
from aiconsole.tui.commands.path_names import path_names
from aiconsole.tui.commands.typed import completions
from aiconsole.tui.screens.command_line.screen import CommandLineScreen
from tests.gguf_files import write_gguf
from tests.tui.doubles import Script, fleet, up
from tests.tui.screenful import SMALL, running, text, until


async def _nothing(verb: str, ask: Ask) -> AsyncIterator[Event]:
    return
    yield


def two_hosts() -> Script:
    hosts = (Host("web1", groups=("front",)), Host("web2", groups=("front",)))
    script = Script(hosts, fleet(up("web1"), up("web2")))
    script.play = _nothing
    return script


async def enter(pilot: Pilot[None], line: str) -> None:
    """Type a line after `:` and send it."""
    await pilot.press("colon")
    pilot.app.screen.query_one("#command").value = line  # type: ignore[attr-defined]
    await pilot.press("enter")


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        (cli.deploy, service_options.DEPLOY),
        (cli.restart, service_options.SWAP),
        (cli.rollback, service_options.SWAP),
        (cli.stop, service_options.STOP),
        (cli.start, service_options.START),
    ],
)
def test_the_screen_knows_the_options_of_the_command_line(
    verb: object, options: tuple[Option, ...]
) -> None:
    of_cli = set(inspect.signature(verb).parameters)  # type: ignore[arg-type]
    # Who types on the screen is there to be asked, and reads no JSON.
    of_cli -= {"hosts", "host", "release", "yes", "as_json"}
    assert {option.name[2:].replace("-", "_") for option in options} == of_cli


async def test_a_deploy_takes_every_option(tmp_path: Path) -> None:
    script = two_hosts()
    model = tmp_path / "my model.gguf"
    async with running(script) as (app, pilot):
        await enter(
            pilot,
            f"deploy web1 --model '{model}' --model-name m --listen 0.0.0.0:9000 --slots=4 "
            "--context 4096 --drain 5 --swap held --batch 2 --plan web2",
        )
        await until(pilot, lambda: len(script.calls) == 1)
        assert script.calls == [
            (
                "deploy", ("web1", "web2"),
                DeployOptions(
                    model=model, model_name="m", listen="0.0.0.0:9000", slots=4,
                    context_tokens=4096, drain_timeout_s=5.0, swap="held", plan_only=True, batch=2,
                ),
            )
        ]  # fmt: skip
        assert app.desk.view_name == "operation"


async def test_a_deploy_takes_a_name_of_the_catalogue(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "a.gguf")
    added = await add_model(Catalogue(), FileSource(file), Choices(name="sparrow"), lambda *_: None)
    script = two_hosts()
    async with running(script) as (app, pilot):
        await pilot.press("colon")
        screen = app.screen
        assert isinstance(screen, CommandLineScreen)
        screen.entry.value = "deploy web1 --model spa"
        screen.entry.cursor_position = 999
        await until(pilot, lambda: bool(screen._found))
        await pilot.press("tab")
        await until(pilot, lambda: screen.entry.value.endswith("--model sparrow "))
        await pilot.press("enter")
        await until(pilot, lambda: len(script.calls) == 1)
        assert script.calls[0][2] == DeployOptions(model=added.path, model_name="sparrow")


async def test_a_name_that_the_catalogue_does_not_know_is_told() -> None:
    script = two_hosts()
    async with running(script) as (app, pilot):
        await enter(pilot, "deploy web1 --model nobody")
        await until(pilot, lambda: "no model nobody" in text(app))
        assert script.calls == []


async def test_groups_and_globs_choose_hosts() -> None:
    script = two_hosts()
    async with running(script) as (_, pilot):
        await enter(pilot, "restart @front --swap held")
        await until(pilot, lambda: len(script.calls) == 1)
        assert script.calls == [("restart", ("web1", "web2"), RestartOptions(swap="held"))]


async def test_a_rollback_names_its_release() -> None:
    script = two_hosts()
    async with running(script) as (_, pilot):
        await enter(pilot, "rollback web2 old-1 --plan")
        await until(pilot, lambda: len(script.calls) == 1)
        assert script.calls[0][2] == RestartOptions("old-1", plan_only=True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("deploy web1 --modle x", "There is no option --modle here: there are --model PATH"),
        ("deploy web1 --slots", "--slots needs a value"),
        ("deploy web1 --slots many", "expected is a whole number from 0"),
        ("deploy web1 --listen 8480", "an IP address and a port"),
        ("deploy web1 --swap soon", "expected is one of auto, overlap, held"),
        ("deploy web1 --plan=yes", "--plan takes no value"),
        ("deploy web1 --batch 0", "a whole number from 1"),
        ("restart web1 --drain -1", "expected is seconds"),
        ("stop web1 --swap held", "There is no option --swap here: there are --drain SECONDS"),
        ("start web1 'x", "no closing quotation"),
    ],
)
async def test_a_wrong_option_is_told_in_place_and_the_line_stays(line: str, reason: str) -> None:
    script = two_hosts()
    async with running(script, SMALL) as (app, pilot):
        await enter(pilot, line)
        await until(pilot, lambda: "▲" in text(app))
        assert reason in " ".join(text(app).split())
        assert isinstance(app.screen, CommandLineScreen)
        assert app.screen.entry.value == line
        assert app.screen.entry.cursor_position == len(line)
        await pilot.press("backspace")
        assert app.screen._refusal == ""
        assert script.calls == []
        await pilot.press("escape")
        assert app.desk.view_name == "fleet"


async def test_options_and_their_values_are_completed() -> None:
    script = two_hosts()
    async with running(script) as (app, _):
        desk = app.desk
        assert completions("deploy web1 --sl", desk) == ("deploy web1 --slots",)
        assert completions("deploy --swap h", desk) == ("deploy --swap held",)
        assert completions("deploy --swap=o", desk) == ("deploy --swap=overlap",)
        assert completions("deploy --listen ", desk) == ()
        assert completions("deploy --slots 4 web1 w", desk) == ("deploy --slots 4 web1 web2",)
        assert "deploy --plan --swap" not in completions("deploy --swap held --", desk)


def test_paths_are_completed_with_directories_and_models(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name in ("tiny.gguf", "notes.txt", ".hidden.gguf", "two words.gguf", "x\x1b.gguf"):
        (tmp_path / name).touch()
    at = f"{tmp_path}/"
    assert path_names(at) == (f"{at}models/", f"{at}tiny.gguf", f"{at}two words.gguf")
    assert path_names(f"{at}.h") == (f"{at}.hidden.gguf",)
    assert path_names(f"{at}nowhere/") == ()


async def test_tab_goes_down_into_directories_and_escapes_blanks(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "two words.gguf"
    model.touch()
    script = two_hosts()
    async with running(script) as (app, pilot):
        await pilot.press("colon")
        screen = app.screen
        assert isinstance(screen, CommandLineScreen)
        screen.entry.value = f"deploy web1 --model {tmp_path}/mo"
        screen.entry.cursor_position = 999
        await until(pilot, lambda: bool(screen._found))
        await pilot.press("tab")
        await until(pilot, lambda: screen.entry.value.endswith("models/") and bool(screen._found))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: len(script.calls) == 1)
        assert script.calls[0][2] == DeployOptions(model)


async def test_a_path_that_leads_nowhere_is_told_while_it_is_typed(tmp_path: Path) -> None:
    async with running(two_hosts()) as (app, pilot):
        await pilot.press("colon")
        app.screen.query_one("#command").value = f"deploy --model {tmp_path}/no"  # type: ignore[attr-defined]
        await until(pilot, lambda: "no directory or GGUF file begins with" in text(app))


async def test_releases_of_the_host_are_asked_for_once_and_completed() -> None:
    script = two_hosts()
    script.releases = ("builtin-2", "builtin-1")
    async with running(script) as (app, pilot):
        await pilot.press("colon", *"rollback", "space", *"web2", "space")
        await until(pilot, lambda: "builtin-2" in text(app))
        await pilot.press(*"builtin-1")
        assert completions("rollback web2 b", app.desk) == (
            "rollback web2 builtin-2", "rollback web2 builtin-1",
        )  # fmt: skip
        assert sorted(script.asked) == ["web1", "web2"]


async def test_runs_are_completed_and_the_newest_is_taken_unnamed() -> None:
    script = two_hosts()
    script.runs = (RunSummary("r2", "Deploy", "inferd", "ada", 1.0, 0.0, "running"),)
    async with running(script) as (app, pilot):
        await pilot.press("colon", *"cancel", "space", *"web1", "space")
        await until(pilot, lambda: "r2" in text(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: script.cancelled == [("web1", "r2")])
        await enter(pilot, "attach web1")
        await until(pilot, lambda: script.calls == [("attach", ("web1",), "")])


def burst(app: ConsoleApp, typed: str) -> None:
    """Send keys at once, as a paste does, before the screen had a turn between them."""
    names = {":": "colon", "/": "slash", " ": "space", "\r": "enter"}
    for char in typed:
        app.post_message(Key(names.get(char, char), char))


async def test_a_pasted_command_is_read_whole() -> None:
    script = two_hosts()
    async with running(script) as (app, pilot):
        burst(app, ":stop web2 --plan\r")
        await until(pilot, lambda: bool(script.calls))
        assert script.calls == [("stop", ("web2",), RestartOptions(plan_only=True))]


async def test_a_pasted_filter_never_acts_as_keys() -> None:
    script = two_hosts()
    async with running(script) as (app, pilot):
        burst(app, "/dbsr2")
        await until(pilot, lambda: "match “dbsr2”" in text(app))
        assert script.calls == []


@pytest.mark.parametrize("words", [("--slots",), ("--nope",), ("--slots", "x"), ("--plan=1",)])
def test_the_parser_refuses(words: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError):
        read_options(words, service_options.DEPLOY)


def test_two_dashes_end_the_options() -> None:
    assert read_options(("a", "--", "--b"), service_options.DEPLOY) == (("a", "--b"), {})
