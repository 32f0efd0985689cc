"""What counts as getting on, by a clock that only the test moves, and what is made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aiconsole.onhost.inferd.engine.progress import Progress
from aiconsole.onhost.inferd.engine.vigil import Vigil
from aiconsole.onhost.inferd.errors import ApiError


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_idle_time_is_not_stuck_time(clock: Clock) -> None:
    progress = Progress(clock)
    clock.now_s += 500
    assert (progress.stuck_s, progress.unproven_s) == (0, 500)
    with progress.at_work():
        clock.now_s += 3
        assert (progress.stuck_s, progress.unproven_s) == (3, 0)
        progress.moved()
        assert progress.stuck_s == 0
    clock.now_s += 1
    assert (progress.stuck_s, progress.unproven_s, progress.running) == (0, 1, 0)


def test_a_token_of_one_request_counts_for_all(clock: Clock) -> None:
    progress = Progress(clock)
    with progress.at_work():
        clock.now_s += 40
        with progress.at_work():
            clock.now_s += 30
            assert progress.stuck_s == 70
            progress.moved()
        clock.now_s += 5
        assert progress.stuck_s == 5


def test_a_client_that_does_not_read_is_no_stuck_engine(clock: Clock) -> None:
    progress = Progress(clock)
    with progress.at_work():
        progress.moved()
        with progress.aside():
            clock.now_s += 300
            assert progress.stuck_s == 0
        clock.now_s += 2
        assert progress.stuck_s == 2
    assert progress.running == 0


def test_a_request_that_gives_up_without_a_token_proves_nothing(clock: Clock) -> None:
    progress = Progress(clock)
    clock.now_s += 10
    with progress.at_work():
        clock.now_s += 50
    assert progress.unproven_s == 60


async def _hang() -> None:
    await asyncio.Event().wait()


def _vigil(
    progress: Progress, prove: Callable[[], Awaitable[None]], *, limit_s: float, idle_s: float
) -> Vigil:
    return Vigil(progress, prove, lambda: limit_s, idle_s)


async def test_an_idle_engine_that_leaves_its_proof_open_is_stuck() -> None:
    progress = Progress()
    seen = await asyncio.wait_for(_vigil(progress, _hang, limit_s=0.05, idle_s=0.05).watch(), 10)
    assert "no token for" in seen
    await asyncio.sleep(0)
    assert progress.running == 0, "the proof is called off"


async def test_a_proof_that_fails_is_told() -> None:
    async def fail() -> None:
        raise ApiError(500, "nonsense", code="engine_error")

    seen = await asyncio.wait_for(_vigil(Progress(), fail, limit_s=9, idle_s=0.05).watch(), 10)
    assert seen == "the engine failed a completion while idle: nonsense"


async def test_a_proof_is_asked_again_and_again_but_never_of_a_busy_engine() -> None:
    progress, proofs = Progress(), asyncio.Queue[int]()

    async def prove() -> None:
        proofs.put_nowait(progress.running)

    watching = asyncio.create_task(_vigil(progress, prove, limit_s=60, idle_s=0.02).watch())
    for _ in range(3):
        assert await asyncio.wait_for(proofs.get(), 10) == 1, "nothing but the proof is at work"
    with progress.at_work():
        while not proofs.empty():
            proofs.get_nowait()
        for _ in range(5):
            await asyncio.sleep(0.02)
            assert proofs.empty()
    await asyncio.wait_for(proofs.get(), 10)
    watching.cancel()
