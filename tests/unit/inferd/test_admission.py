"""Places and queue, under every way in which a request can leave."""

from __future__ import annotations

import asyncio

import pytest

from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.limits.admission import Admission


async def _waiting(admission: Admission, count: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(admission.enter()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_first_come_first_served() -> None:
    admission = Admission(1, 10)
    await admission.enter()
    first, second = await _waiting(admission, 2)
    admission.leave(1.0)
    await asyncio.sleep(0)
    assert (first.done(), second.done()) == (True, False)
    assert (admission.running, admission.waiting) == (1, 1)
    admission.leave(1.0)
    await second
    admission.leave(1.0)
    assert (admission.running, admission.waiting) == (0, 0)


async def test_nobody_overtakes_the_queue() -> None:
    admission = Admission(1, 10)
    await admission.enter()
    (waiter,) = await _waiting(admission, 1)
    admission.leave(0.1)  # the place is the waiter's, though it has not run yet
    (late,) = await _waiting(admission, 1)
    assert waiter.done()
    assert not late.done()
    late.cancel()


async def test_a_full_queue_says_when_to_come_back() -> None:
    admission = Admission(1, 1)
    await admission.enter()
    (waiter,) = await _waiting(admission, 1)
    assert admission.full
    with pytest.raises(ApiError) as refused:
        await admission.enter()
    assert (refused.value.status, refused.value.code) == (503, "queue_full")
    assert 1 <= refused.value.retry_after_s <= 60
    waiter.cancel()


async def test_a_cancelled_waiter_leaves_no_hole() -> None:
    admission = Admission(1, 10)
    await admission.enter()
    first, second = await _waiting(admission, 2)
    first.cancel()
    await asyncio.sleep(0)
    assert admission.waiting == 1
    admission.leave(0.1)
    await second
    assert admission.running == 1


async def test_cancelled_in_the_turn_in_which_the_place_was_handed_over() -> None:
    admission = Admission(1, 10)
    await admission.enter()
    first, second = await _waiting(admission, 2)
    admission.leave(0.1)
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    await asyncio.wait_for(second, 5)
    assert admission.running == 1


async def test_close_refuses_those_who_wait_and_those_who_come() -> None:
    admission = Admission(1, 10)
    await admission.enter()
    (waiter,) = await _waiting(admission, 1)
    admission.close()
    for refused in (waiter, asyncio.create_task(admission.enter())):
        with pytest.raises(ApiError) as error:
            await refused
        assert error.value.code == "draining"
    admission.leave(0.1)
    assert admission.running == 0


async def test_the_time_to_come_back_follows_what_requests_take() -> None:
    admission = Admission(2, 10)
    for _ in range(100):
        admission.leave(20.0)
    assert 9 < admission.retry_after_s() < 11
