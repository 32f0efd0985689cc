from __future__ import annotations

import asyncio

import pytest

from aiconsole.fleet.host import Host
from aiconsole.question import Answer, Question
from aiconsole.secret import Secret
from tests.tui.doubles import Script, fleet, up
from tests.tui.screenful import SMALL, running, text, until


def one_host() -> Script:
    return Script((Host("web1"), Host("web2")), fleet(up("web1"), up("web2")))


async def answer(question: Question, *keys: str) -> Answer:
    """Ask from a service's point of view, press keys, and wait for the answer."""
    script = one_host()
    async with running(script, SMALL) as (app, pilot):
        assert script.ask is not None
        asked = asyncio.ensure_future(script.ask(question))
        await until(pilot, lambda: question.title in text(app))
        await pilot.press(*keys)
        await until(pilot, asked.done)
        assert question.title not in text(app)
        return asked.result()


@pytest.mark.parametrize(
    ("key", "said"), [("y", True), ("n", False), ("escape", None), ("enter", True)]
)
async def test_confirm(key: str, said: Answer) -> None:
    assert await answer(Question("confirm", "Add web1?"), key) is said


async def test_enter_alone_never_says_yes_to_something_dangerous() -> None:
    assert await answer(Question("confirm", "Stop web1?", danger=True), "enter", "n") is False


async def test_a_protected_host_wants_its_name() -> None:
    question = Question("confirm", "Stop db1?", danger=True, typed_name="db1")
    assert await answer(question, "d", "b", "enter", "1", "enter") is True
    assert await answer(question, "y", "enter", "escape") is None


async def test_a_secret_comes_back_as_one_and_never_stands_on_the_screen() -> None:
    script = one_host()
    async with running(script, SMALL) as (app, pilot):
        assert script.ask is not None
        asked = asyncio.ensure_future(script.ask(Question("secret", "Password for web1")))
        await until(pilot, lambda: "Password for web1" in text(app))
        await pilot.press(*"hunter2")
        assert "hunter2" not in text(app)
        await pilot.press("enter")
        await until(pilot, asked.done)
        assert asked.result() == Secret("hunter2")


async def test_text_is_stripped_and_not_empty() -> None:
    assert await answer(Question("text", "Name?"), "enter", "a", "space", "enter") == "a"


async def test_choice_takes_the_first_or_the_chosen_one() -> None:
    question = Question("choice", "How?", choices=("watch [it]", "leave"))
    assert await answer(question, "enter") == "watch [it]"
    assert await answer(question, "j", "enter") == "leave"


async def test_hostile_detail_is_harmless() -> None:
    script = one_host()
    async with running(script) as (app, pilot):
        assert script.ask is not None
        question = Question("confirm", "Trust [b]web1[/b]?", "key \x1b[31m[bold]SHA256:x")
        asked = asyncio.ensure_future(script.ask(question))
        await until(pilot, lambda: "Trust [b]web1[/b]?" in text(app))
        assert r"key \x1b[31m[bold]SHA256:x" in text(app)
        await pilot.press("escape")
        await until(pilot, asked.done)


async def test_two_that_ask_at_once_are_asked_one_after_the_other() -> None:
    script = one_host()
    async with running(script) as (app, pilot):
        assert script.ask is not None
        first = asyncio.ensure_future(script.ask(Question("confirm", "First?")))
        second = asyncio.ensure_future(script.ask(Question("confirm", "Second?")))
        await until(pilot, lambda: "First?" in text(app))
        assert "Second?" not in text(app)
        await pilot.press("y")
        await until(pilot, lambda: "Second?" in text(app))
        await pilot.press("n")
        await until(pilot, second.done)
        assert (first.result(), second.result()) == (True, False)


async def test_a_question_whose_asker_is_gone_goes_with_it() -> None:
    script = one_host()
    async with running(script) as (app, pilot):
        assert script.ask is not None
        asked = asyncio.ensure_future(script.ask(Question("confirm", "Still there?")))
        await until(pilot, lambda: "Still there?" in text(app))
        asked.cancel()
        await until(pilot, lambda: "Still there?" not in text(app))


async def test_keys_of_the_screen_below_do_nothing_under_a_question() -> None:
    script = one_host()
    async with running(script) as (app, pilot):
        assert script.ask is not None
        asked = asyncio.ensure_future(script.ask(Question("confirm", "Sure?")))
        await until(pilot, lambda: "Sure?" in text(app))
        await pilot.press("d", "r", "s", "q", "space")
        assert script.calls == []
        assert app.is_running
        await pilot.press("escape")
        await until(pilot, asked.done)
