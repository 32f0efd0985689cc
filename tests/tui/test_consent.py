"""Yes to a protected host and to a host's key: the console's own services ask, a person types."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiconsole.control.carry_out import Job, _question
from aiconsole.control.events import Event
from aiconsole.errors import HostKeyError
from aiconsole.fleet.host import Host
from aiconsole.fleet.trust import trust_anew
from aiconsole.question import Answer, Ask
from tests.tui import story
from tests.tui.doubles import Script, fleet, up
from tests.tui.screenful import SMALL, running, text, until

__all__ = ["trust_anew"]  # imported here: SSH takes its time to load, and no test waits for it

PROTECTED = Host("web1", protected=True)


def protected_host(said: list[Answer]) -> Script:
    """Asks with the question that every operation on this host asks."""
    script = Script((PROTECTED,), fleet(up("web1")))
    job = Job(
        cast("Any", SimpleNamespace(host=PROTECTED)), story.plan_ready("web1").plan,
        "Restart inferd on web1?",
    )  # fmt: skip

    async def play(verb: str, ask: Ask) -> AsyncIterator[Event]:
        for event in story.preparation("web1"):
            yield event
        said.append(await ask(_question(job)))

    script.play = play
    return script


async def test_a_protected_host_is_changed_only_with_its_name_typed() -> None:
    said: list[Answer] = []
    async with running(protected_host(said), SMALL) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: "Restart inferd on web1?" in text(app))
        assert "Type web1 and press Enter" in text(app)
        await pilot.press("y", "enter")
        await until(pilot, lambda: "'y' is not 'web1'" in text(app))
        assert said == []
        await pilot.press("backspace", *"web1", "enter")
        await until(pilot, lambda: said == [True])


async def test_turning_away_from_a_protected_host_changes_nothing() -> None:
    said: list[Answer] = []
    async with running(protected_host(said), SMALL) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: "Type web1" in text(app))
        await pilot.press(*"web1", "escape")
        await until(pilot, lambda: said == [None])


class Pool:
    """Knows no key until it is accepted, as the real one."""

    def __init__(self, changed: bool) -> None:
        self.changed = changed
        self.accepted: list[str] = []
        self.retried = asyncio.Event()
        self.host_keys = self

    async def session(self, host: Host, *, now: bool = False) -> object:
        if self.accepted:
            return object()
        what = "has changed" if self.changed else "is not known yet"
        title = f"The host key of {host.name} {what}"
        raise HostKeyError(title, "10.0.0.5 showed it", fingerprint="SHA256:abc",
                           changed=self.changed)  # fmt: skip

    def accept(self, fingerprint: str) -> object:
        self.accepted.append(fingerprint)
        return SimpleNamespace(fingerprint=fingerprint)

    def retry_now(self, host: Host) -> None:
        self.retried.set()


@pytest.mark.parametrize("changed", [False, True])
async def test_a_key_is_trusted_with_a_yes(changed: bool) -> None:
    script = Script((Host("web1"),), fleet(up("web1")))
    script.pool = pool = Pool(changed)
    async with running(script, SMALL) as (app, pilot):
        await pilot.press("colon", *"trust", "space", *"web1", "enter")
        await until(pilot, lambda: "Trust it?" in text(app))
        if changed:
            await pilot.press("enter")
            assert pool.accepted == []
        await pilot.press("y")
        await until(pilot, pool.retried.is_set)
        assert pool.accepted == ["SHA256:abc"]
        await until(pilot, lambda: "trusted with SHA256:abc" in text(app))


async def test_a_key_that_is_not_confirmed_is_not_stored() -> None:
    script = Script((Host("web1"),), fleet(up("web1")))
    script.pool = pool = Pool(changed=False)
    async with running(script) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "Trust it?" in text(app))
        await pilot.press("n")
        await until(pilot, lambda: "Compare the fingerprint" in text(app))
        assert pool.accepted == []
