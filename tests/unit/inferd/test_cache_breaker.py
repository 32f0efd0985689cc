"""When what does not answer is asked again."""

from __future__ import annotations

from aiconsole.onhost.inferd.cache.breaker import Breaker


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_pauses_double_up_to_a_limit_and_end_with_an_answer() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    pauses = []
    for _ in range(7):
        asked = breaker.ask()
        assert asked is not None
        breaker.failed(asked)
        began = clock.now_s
        while breaker.ask() is None:
            clock.now_s += 0.25
        pauses.append(clock.now_s - began)
        clock.now_s += 20  # the one that was let through has not come back; another may try
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10]
    breaker.worked()
    assert breaker.closed
    assert breaker.ask() is not None


def test_many_that_fail_together_are_one_failure() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    asked = [breaker.ask() for _ in range(50)]
    clock.now_s += 0.25
    for at in asked:
        assert at is not None
        breaker.failed(at)
    assert breaker.ask() is None
    clock.now_s += 0.5
    assert breaker.ask() is not None


def test_after_a_pause_only_one_tries() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.failed(clock.now_s)
    clock.now_s += 1
    assert [breaker.ask() is not None for _ in range(20)] == [True] + [False] * 19
