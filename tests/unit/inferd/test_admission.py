"""Places and queue, under every way in which a request can leave."""

from __future__ import annotations

import asyncio
import random

import pytest

from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.limits.admission import Admission
from aiconsole.onhost.inferd.settings.limits import LimitSettings


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


async def _join(admission: Admission, order: list[str], *names: str) -> list[asyncio.Task[None]]:
    """Requests named by their tenant and a number, which note when they get a place."""

    async def come(name: str) -> None:
        await admission.enter(name[0])
        order.append(name)

    tasks = [asyncio.create_task(come(name)) for name in names]
    await asyncio.sleep(0)
    return tasks


async def _serve_all(admission: Admission) -> None:
    while admission.running:
        admission.leave(0.1)
        await asyncio.sleep(0)


async def test_tenants_take_turns() -> None:
    admission, order = Admission(1, 20), list[str]()
    await admission.enter("x")
    tasks = await _join(admission, order, "a1", "a2", "a3", "a4", "b1", "b2", "c1")
    await _serve_all(admission)
    await asyncio.gather(*tasks)
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


async def test_a_flood_holds_up_another_by_one_turn() -> None:
    admission, order = Admission(1, 1000), list[str]()
    await admission.enter("a")
    flood = await _join(admission, order, *(f"a{number}" for number in range(900)))
    (other,) = await _join(admission, order, "b")
    admission.leave(0.1)
    admission.leave(0.1)
    await other
    assert order == ["a0", "b"]
    for task in flood:
        task.cancel()
    await asyncio.wait(flood)
    assert admission.waiting == 0


async def test_one_alone_may_use_the_whole_queue_and_keeps_nobody_out() -> None:
    admission, order = Admission(1, 4), list[str]()
    await admission.enter("a")
    greedy = await _join(admission, order, "a1", "a2", "a3", "a4")
    assert admission.waiting == 4
    modest = await _join(admission, order, "b1", "b2")
    assert admission.waiting == 4
    for pushed in (greedy[3], greedy[2]):
        with pytest.raises(ApiError) as refused:
            await pushed
        assert (refused.value.code, refused.value.retry_after_s >= 1) == ("queue_full", True)
    for late in await _join(admission, order, "a5", "b3"):
        with pytest.raises(ApiError):
            await late  # shares are even: who comes now is refused
    await _join(admission, order, "c1")
    with pytest.raises(ApiError):
        await greedy[1]
    await _serve_all(admission)
    await asyncio.gather(greedy[0], *modest)
    assert order == ["a1", "b1", "c1", "b2"]


async def test_the_youngest_of_the_greediest_goes() -> None:
    admission, order = Admission(1, 5), list[str]()
    await admission.enter("x")
    tasks = await _join(admission, order, "b1", "a1", "a2", "a3", "b2")
    await _join(admission, order, "c1")
    await asyncio.sleep(0)
    assert isinstance(tasks[3].exception(), ApiError)
    await _serve_all(admission)
    assert order == ["b1", "a1", "c1", "b2", "a2"]


async def test_thousands_come_leave_and_are_served_in_any_order() -> None:
    admission, order, chance = Admission(3, 500), list[str](), random.Random(5)
    tasks: list[asyncio.Task[None]] = []
    for step in range(5000):
        what = chance.random()
        if what < 0.6:
            tasks += await _join(admission, order, f"{chance.choice('abcdef')}{step}")
        elif what < 0.8 and tasks:
            tasks[chance.randrange(len(tasks))].cancel()
        elif admission.running:
            admission.leave(0.1)
        if step % 100 == 0:
            await asyncio.sleep(0)
            assert admission.running <= 3
            assert admission.waiting == len(admission._turns) <= 500
            lines = [len(line) for line in admission._turns._ring.values()]
            assert (admission.waiting, admission._turns.most) == (sum(lines), max(lines, default=0))
    await _serve_all(admission)
    await asyncio.wait(tasks)
    await _serve_all(admission)
    assert (admission.running, admission.waiting, admission._turns.most) == (0, 0, 0)
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            assert isinstance(task.exception(), ApiError)


async def test_other_numbers_at_run_time() -> None:
    admission = Admission(1, 10)
    await admission.enter()
    waiters = await _waiting(admission, 4)
    admission.configure(LimitSettings(running=3, queue=2))
    await asyncio.sleep(0)
    assert [task.done() for task in waiters] == [True, True, False, False]
    assert (admission.running, admission.waiting, admission.queue_limit) == (3, 2, 2)
    admission.configure(LimitSettings(running=1, queue=2))
    admission.leave(0.1)
    admission.leave(0.1)
    await asyncio.sleep(0)
    assert (admission.running, admission.waiting) == (1, 2), "places go away as they are left"
    admission.usual_running = 2
    admission.configure(LimitSettings(queue=2))
    await asyncio.sleep(0)
    assert (admission.running, admission.waiting) == (2, 1), "0 is what the engine has"
    admission.leave(0.1)
    await waiters[3]
