"""Several hosts: so many at a time, and the first failure stops those that have not begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from aiconsole.control.batch import in_batches
from aiconsole.control.events import Event, PhaseStarted, Result
from aiconsole.errors import UnreachableError
from aiconsole.fleet.host import Host

HOSTS = [Host(name=f"web{n}", address=f"10.0.0.{n}") for n in range(1, 6)]


class Fleet:
    """Hosts that are worked on until told to end."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.at_work: set[str] = set()
        self.most = 0

    async def one(self, host: Host) -> AsyncGenerator[Event, None]:
        self.at_work.add(host.name)
        self.most = max(self.most, len(self.at_work))
        yield PhaseStarted(host.name, "connect", "")
        await asyncio.sleep(0)
        self.at_work.discard(host.name)
        if host.name == self.failing:
            raise UnreachableError("No answer", "10.0.0.2")
        yield Result(host.name, "done", "fine")


async def outcomes(fleet: Fleet, size: int) -> dict[str, str]:
    events = [event async for event in in_batches(HOSTS, size, fleet.one)]
    results = [event for event in events if isinstance(event, Result)]
    assert len(results) == len(HOSTS)
    return {result.host: result.outcome for result in results}


@pytest.mark.parametrize("size", [1, 2, 5, 99])
async def test_never_more_hosts_at_work_than_the_batch(size: int) -> None:
    fleet = Fleet()
    assert set((await outcomes(fleet, size)).values()) == {"done"}
    assert fleet.most <= size


async def test_a_host_goes_on_when_its_last_event_was_taken() -> None:
    shown: list[str] = []
    at_question: list[list[str]] = []

    async def one(host: Host) -> AsyncGenerator[Event, None]:
        yield PhaseStarted(host.name, "check", "the plan")
        at_question.append(list(shown))
        yield Result(host.name, "refused", "the answer was no")

    async for event in in_batches(HOSTS[:1], 1, one):
        await asyncio.sleep(0)  # a consumer that takes its time
        shown.append(event.text if isinstance(event, PhaseStarted) else "result")
    assert at_question == [["the plan"]]


async def test_the_first_failure_skips_the_rest() -> None:
    ends = await outcomes(Fleet(failing="web2"), 1)
    assert ends == {
        "web1": "done",
        "web2": "failed",
        "web3": "skipped",
        "web4": "skipped",
        "web5": "skipped",
    }


async def test_leaving_early_stops_what_is_at_work() -> None:
    stopped = asyncio.Event()

    async def endless(host: Host) -> AsyncGenerator[Event, None]:
        try:
            yield PhaseStarted(host.name, "connect", "")
            await asyncio.Event().wait()
        finally:
            stopped.set()

    stream = in_batches(HOSTS, 1, endless)
    assert isinstance(await anext(stream), PhaseStarted)
    await stream.aclose()
    assert stopped.is_set()


async def test_a_defect_is_not_swallowed() -> None:
    async def broken(host: Host) -> AsyncGenerator[Event, None]:
        yield PhaseStarted(host.name, "connect", "")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async for _ in in_batches(HOSTS[:1], 1, broken):
            pass
