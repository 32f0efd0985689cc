"""A provider that fails is left alone, and asked again in growing pauses."""

from __future__ import annotations

from aiconsole.onhost.inferd.engine.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(3, 10.0, Clock())
    breaker.failed("a")
    breaker.failed("b")
    breaker.succeeded()
    assert [breaker.failed("c"), breaker.failed("d")] == [False, False]
    assert not breaker.is_open
    assert breaker.failed("e")
    assert (breaker.is_open, breaker.reason) == (True, "e")
    assert not breaker.failed("of a request that was under way")


def test_what_cannot_get_better_opens_it_at_once() -> None:
    breaker = Breaker(3, 10.0, Clock())
    assert breaker.failed("key refused", for_good=True)


def test_each_failed_proof_doubles_the_pause_up_to_a_limit() -> None:
    clock = Clock()
    breaker = Breaker(1, 10.0, clock)
    breaker.failed("x")
    pauses = []
    for _ in range(6):
        pauses.append(breaker.proof_due_s)
        clock.now += breaker.proof_due_s
        assert breaker.proof_due_s == 0
        breaker.proof_failed("still")
    assert pauses == [10, 20, 40, 80, 80, 80]
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.reason == ""
    breaker.failed("again")
    assert breaker.proof_due_s == 10


def test_held_and_in_order() -> None:
    clock = Clock()
    breaker = Breaker(1, 10.0, clock)
    breaker.hold(5)
    breaker.hold(2)
    assert (breaker.held_s, breaker.is_open) == (5, False)
    clock.now += 6
    assert breaker.held_s == 0
