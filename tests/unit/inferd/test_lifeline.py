"""Pauses: the engine's count, the client's do not."""

from __future__ import annotations

import asyncio

import pytest

from aiconsole.onhost.inferd.lifeline import Lifeline


async def _pausing(line: Lifeline) -> None:
    line.expect()
    await asyncio.sleep(30)


async def test_an_engine_that_pauses_is_cut() -> None:
    line = Lifeline()
    line.limit_pauses(0.05)
    with pytest.raises(asyncio.CancelledError):
        await _pausing(line)
    line.absorb()
    assert line.reason == "between-tokens-timeout"


async def test_the_time_of_the_client_does_not_count() -> None:
    line = Lifeline()
    line.limit_pauses(0.05)
    line.expect()
    line.rest()
    await asyncio.sleep(0.2)
    assert line.reason is None
    with pytest.raises(asyncio.CancelledError):
        await _pausing(line)
    line.absorb()


async def test_tokens_arm_no_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    line, armed, later = Lifeline(), list[float](), Lifeline._look_in

    def look_in(line: Lifeline, delay_s: float) -> None:
        armed.append(delay_s)
        later(line, delay_s)

    monkeypatch.setattr(Lifeline, "_look_in", look_in)
    line.limit_pauses(60)
    for _ in range(1000):
        line.expect()
        line.rest()
    assert armed == [60]
    line.close()


async def test_a_closed_line_cuts_nobody() -> None:
    line = Lifeline()
    line.limit_pauses(0.02)
    line.expect()
    line.close()
    await asyncio.sleep(0.1)
    assert line.reason is None
