from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from textual.pilot import Pilot

from aiconsole.control.events import Event, LinkChanged, Result
from aiconsole.errors import UnreachableError
from aiconsole.fleet.host import Host
from aiconsole.question import Ask
from aiconsole.secret import Secret
from aiconsole.tui.present.operation import operation_lines
from aiconsole.tui.present.progress import HostProgress
from tests.tui import story
from tests.tui.doubles import Script, down, fleet, up
from tests.tui.screenful import SMALL, WIDE, row, running, text, until

QUESTION = "Deploy builtin-91ce02aa to web1?"


class Stage:
    """Plays scenes one after the other, each when the test says so."""

    def __init__(self, *scenes: list[Event], notes: tuple[str, ...] = ()) -> None:
        self._scenes = scenes
        self._notes = notes
        self._go = asyncio.Event()
        self.script = Script((Host("web1"), Host("web2")), fleet(up("web1"), down("web2")))
        self.script.play = self.play
        self.ended = False

    async def play(self, verb: str, ask: Ask) -> AsyncIterator[Event]:
        async for event in story.deploy("web1", ask, *self._scenes[0], notes=self._notes):
            yield event
        for scene in self._scenes[1:]:
            await self._go.wait()
            self._go.clear()
            for event in scene:
                yield event
        self.ended = True

    def go_on(self) -> None:
        self._go.set()


async def begin(pilot: Pilot[None]) -> None:
    await pilot.press("d")
    await until(pilot, lambda: QUESTION in text(pilot.app))


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_plan_question_progress_result(size: tuple[int, int]) -> None:
    stage = Stage(story.upload("web1"), story.run("web1"), story.success("web1"))
    async with running(stage.script, size) as (app, pilot):
        await begin(pilot)
        shown = text(app)
        assert "3 of 4 steps change something · 102 MB to send" in shown
        assert "+ Unpack the engine (102 MB)" in shown
        if size == WIDE:
            assert "-slots = 2" in shown
            assert "+slots = 4" in shown
        await pilot.press("y")
        await until(pilot, lambda: "51.0 MB of  102 MB" in text(app))
        stage.go_on()
        await until(pilot, lambda: "step 4 of 4" in text(app))
        assert "slot b loads the model" in row(app, "▶ Serve")
        assert "✓ Settings of the release" in text(app)
        assert "slots = 4" not in text(app)
        stage.go_on()
        await until(pilot, lambda: "✓ done" in text(app))
        shown = text(app)
        assert "http://127.0.0.1:8480" in shown
        assert "12.3 s" in row(app, "✓ done")
        assert "1,234 requests served, 0 failed, longest wait 12.3 ms" in shown
        assert stage.script.calls[0][:2] == ("deploy", ("web1",))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("swap", "loading the model 43%"),
        ("watch", "4 of 10 s: 1204 requests served, 0 failed"),
    ],
)
def test_how_far_a_step_is_stands_beside_it(step: str, said: str) -> None:
    progress = HostProgress("web1")
    for event in (
        *story.run("web1"),
        story.advanced("web1", 8, "step-started", step, "Its title"),
        story.advanced("web1", 9, "step-progress", step, said),
    ):
        progress = progress.after(event, 1.0)
    shown = [
        "".join(piece.text for piece in pieces)
        for pieces in operation_lines(progress, 2.0, 80, False)
    ]
    assert any(said in row for row in shown), shown


async def test_a_no_changes_nothing_and_says_so() -> None:
    stage = Stage(story.upload("web1"))
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        await pilot.press("n")
        await until(pilot, lambda: "▲ refused" in text(app))
        assert "Nothing was changed" in text(app)


async def test_a_stall_is_announced_before_the_question() -> None:
    note = "The service is held for about 12 s while the new model loads."
    stage = Stage([], notes=(note,))
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        assert f"▲ {note}" in text(app)
        await pilot.press("n")


async def test_a_lost_link_is_unknown_and_then_goes_on() -> None:
    back: list[Event] = [LinkChanged("web1", "up", "back"), *story.success("web1")]
    stage = Stage([*story.run("web1"), story.link_lost("web1")], back)
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "◐ unknown" in text(app))
        shown = text(app)
        assert "no answer from root@web1 for 9 s" in shown
        assert "✗" not in shown.split("Preparation")[1]
        stage.go_on()
        await until(pilot, lambda: "✓ done" in text(app))
        assert "unknown" not in text(app).split("Result")[1]


async def test_a_release_that_does_not_start_shows_its_last_lines_harmless() -> None:
    stage = Stage([*story.run("web1"), *story.failure("web1")])
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "↺ undone" in text(app))
        shown = text(app)
        assert r"error: \x1b[31mnot enough memory\x1b[0m" in shown
        assert "✗ Serve with builtin-91ce02aa  failed" in shown
        assert "↺ Settings of the release  taken back" in shown
        assert "slot b ended with status 1" in shown
        assert "\x1b" not in shown


async def test_somebody_else_at_work_is_named_with_how_to_watch() -> None:
    stage = Stage([story.busy("web1")], [])
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "▲ busy" in text(app))
        assert "bob@laptop since" in text(app)
        assert f":attach web1 {story.RUN_ID}" in text(app)


async def test_leaving_the_screen_does_not_stop_the_operation() -> None:
    stage = Stage(story.run("web1"), story.success("web1"))
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "step 4 of 4" in text(app))
        await pilot.press("escape")
        assert "▶ Deploy to web1" in text(app).splitlines()[0]
        await pilot.press("d")
        await until(pilot, lambda: "still going on" in text(app))
        stage.go_on()
        await until(pilot, lambda: stage.ended)
        await pilot.press("v")
        await until(pilot, lambda: "✓ done" in text(app))


async def test_a_run_is_cancelled_from_its_screen_and_only_while_it_runs() -> None:
    stage = Stage(story.run("web1"), story.success("web1"))
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        assert "(x cancel)" in text(app)
        await pilot.press("y")
        await until(pilot, lambda: "step 4 of 4" in text(app))
        await pilot.press("x")
        await until(pilot, lambda: stage.script.cancelled == [("web1", story.RUN_ID)])
        stage.go_on()
        await until(pilot, lambda: "✓ done" in text(app))
        await pilot.press("x")
        await until(pilot, lambda: "no run is at work on this host" in text(app))


async def test_the_diff_comes_and_goes_on_demand() -> None:
    stage = Stage(story.run("web1"), story.success("web1"))
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "step 4 of 4" in text(app))
        assert "+slots = 4" not in text(app)
        await pilot.press("d")
        assert "+slots = 4" in text(app)


async def test_several_hosts_are_listed_with_how_far_each_is() -> None:
    script = Script((Host("web1"), Host("web2")), fleet(up("web1"), up("web2")))

    async def play(verb: str, ask: Ask) -> AsyncIterator[Event]:
        for event in [*story.preparation("web1"), *story.run("web1"), *story.failure("web1")]:
            yield event
        yield Result("web2", "skipped", "web1 failed before it")

    script.play = play
    async with running(script) as (app, pilot):
        await pilot.press("space", "space", "d")
        await until(pilot, lambda: "skipped" in text(app))
        assert "Deploy to web1, web2" in text(app)
        assert "↺ web1" in text(app)
        await pilot.press("right")
        assert "web1 failed before it" in text(app)


async def test_an_error_beside_the_events_is_told() -> None:
    script = Script((Host("web1"),), fleet(up("web1"), up("other")))

    async def play(verb: str, ask: Ask) -> AsyncIterator[Event]:
        for event in story.preparation("web1")[:1]:
            yield event
        raise UnreachableError("web1 cannot be reached", "connection refused", "is sshd up?")

    script.play = play
    async with running(script) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: "connection refused" in text(app))
        assert "is sshd up?" in text(app)


async def test_a_new_client_key_is_shown_with_the_result() -> None:
    result = Result("web1", "done", "web1 serves x", client_key=Secret("aik-123"))
    stage = Stage([result])
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "aik-123" in text(app))
        assert "shown once" in row(app, "aik-123")


async def test_quitting_while_something_runs_asks_first() -> None:
    stage = Stage(story.run("web1"), story.success("web1"))
    async with running(stage.script) as (app, pilot):
        await begin(pilot)
        await pilot.press("y")
        await until(pilot, lambda: "step 4 of 4" in text(app))
        await pilot.press("q", "q")
        await until(pilot, lambda: "Quit the console?" in text(app))
        assert "goes on there to its end" in text(app)
        await pilot.press("n")
        assert app.is_running
