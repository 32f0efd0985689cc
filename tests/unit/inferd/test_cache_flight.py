"""Who computes, who waits, and who inherits nothing."""

from __future__ import annotations

import asyncio

import pytest

from aiconsole.onhost.inferd.cache import flight as flights_module
from aiconsole.onhost.inferd.cache.entry import Entry
from aiconsole.onhost.inferd.cache.flight import Flight, Turn

ENTRY = Entry(b"{}", 1, 2, "stop")


async def followers(flight: Flight, count: int) -> list[asyncio.Task[Turn]]:
    tasks = [asyncio.create_task(flight.join()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_who_wait_get_the_answer() -> None:
    flights: dict[bytes, Flight] = {}
    flight = Flight(flights, b"k")
    waiting = await followers(flight, 3)
    flight.land(ENTRY)
    flight.leave()
    assert await asyncio.gather(*waiting) == [ENTRY] * 3
    assert not flights


async def test_after_a_failure_one_leads_and_the_others_go_on_waiting() -> None:
    flights: dict[bytes, Flight] = {}
    flight = Flight(flights, b"k")
    waiting = await followers(flight, 3)
    flight.leave()
    assert await waiting[0] == "lead"
    assert flights == {b"k": flight}
    flight.leave()
    assert await waiting[1] == "lead"
    flight.land(ENTRY)
    flight.leave()
    assert await waiting[2] == ENTRY
    assert not flights


async def test_a_cancelled_follower_cancels_nobody_else() -> None:
    flights: dict[bytes, Flight] = {}
    flight = Flight(flights, b"k")
    first, second, third = await followers(flight, 3)
    first.cancel()
    await asyncio.wait([first])
    flight.leave()
    await asyncio.sleep(0)
    # The lead reaches one who is cancelled in that very turn: it is passed on.
    second.cancel()
    assert await third == "lead"
    assert second.cancelled()
    flight.leave()
    assert not flights


async def test_the_last_one_to_leave_clears_the_table() -> None:
    flights: dict[bytes, Flight] = {}
    flight = Flight(flights, b"k")
    (only,) = await followers(flight, 1)
    flight.leave()
    only.cancel()
    await asyncio.wait([only])
    assert not flights


async def test_an_answer_that_cannot_be_shared_sends_everybody_off_at_once() -> None:
    flights: dict[bytes, Flight] = {}
    flight = Flight(flights, b"k")
    waiting = await followers(flight, 3)
    flight.dissolve()
    assert await asyncio.gather(*waiting) == ["alone"] * 3
    assert await flight.join() == "alone"
    flight.leave()
    assert not flights


async def test_until_it_is_stored_whoever_comes_gets_it_too() -> None:
    flights: dict[bytes, Flight] = {}
    flight = Flight(flights, b"k")
    flight.land(ENTRY)
    flight.stay = True
    flight.leave()
    assert await flights[b"k"].join() == ENTRY
    flight.end()
    assert not flights


async def test_a_leader_whose_client_does_not_read_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flights_module, "_PATIENCE_S", 0.02)
    flight = Flight({}, b"k")
    waiting = await followers(flight, 2)
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in waiting)  # it computes: that may take its time
    flight.hold()
    assert await asyncio.gather(*waiting) == ["alone"] * 2
