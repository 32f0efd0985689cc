"""Buckets: bursts, refills, debts, and a bounded memory of who has one."""

from __future__ import annotations

import random

import pytest

from aiconsole.onhost.inferd.limits.headers import duration
from aiconsole.onhost.inferd.limits.rate import Allowance, Rate

SIXTY = Allowance(60, 10)


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_and_then_the_rate(clock: Clock) -> None:
    rate = Rate(clock=clock)
    standings = [rate.take("a", 1, SIXTY) for _ in range(12)]
    assert [s.granted for s in standings] == [True] * 10 + [False] * 2
    assert [s.left for s in standings[:11]] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert standings[-1].wait_s == pytest.approx(1)
    assert standings[-1].full_in_s == pytest.approx(10)
    clock.now_s += standings[-1].wait_s
    assert rate.take("a", 1, SIXTY).granted
    assert not rate.take("a", 1, SIXTY).granted


def test_no_more_than_the_rate_in_the_long_run(clock: Clock) -> None:
    rate, chance = Rate(clock=clock), random.Random(7)
    granted = 0
    for _ in range(20_000):
        clock.now_s += chance.random() * 0.1
        granted += rate.take("a", 1, SIXTY).granted
    assert granted == pytest.approx((clock.now_s - 1000) + 10, abs=2)


def test_who_waits_as_told_is_served(clock: Clock) -> None:
    rate, chance = Rate(clock=clock), random.Random(3)
    odd = Allowance(7.3, 11)
    for _ in range(500):
        standing = rate.take("a", 1, odd)
        if not standing.granted:
            clock.now_s += standing.wait_s
            assert rate.take("a", 1, odd).granted
        clock.now_s += chance.random()


def test_a_slow_rate_lets_one_through(clock: Clock) -> None:
    rate, slow = Rate(clock=clock), Allowance(1, 1)
    assert rate.take("a", 1, slow).granted
    assert rate.take("a", 1, slow).wait_s == pytest.approx(60)


def test_tenants_are_apart(clock: Clock) -> None:
    rate = Rate(clock=clock)
    assert not [rate.take("a", 1, SIXTY) for _ in range(20)][-1].granted
    assert rate.take("b", 1, SIXTY).granted


def test_more_than_a_burst_is_granted_to_who_has_all_and_paid_for(clock: Clock) -> None:
    rate = Rate(clock=clock)
    assert rate.take("a", 100, SIXTY).granted
    assert rate.take("a", 1, SIXTY).wait_s == pytest.approx(91)
    clock.now_s += 91
    assert rate.take("a", 1, SIXTY).granted
    assert not rate.take("a", 100, SIXTY).granted


def test_given_back_and_taken_beyond(clock: Clock) -> None:
    rate = Rate(clock=clock)
    rate.take("a", 10, SIXTY)
    rate.charge("a", -4, SIXTY)
    assert rate.look("a", SIXTY).left == 4
    rate.charge("a", 6, SIXTY)
    assert (rate.look("a", SIXTY).left, rate.take("a", 1, SIXTY).granted) == (0, False)
    rate.charge("a", -1000, SIXTY)
    assert rate.look("a", SIXTY).left >= 10
    for _ in range(10):
        assert rate.take("a", 1, SIXTY).granted
    assert not rate.take("a", 1, SIXTY).granted, "a refund buys no more than a full bucket"


def test_only_full_buckets_are_forgotten(clock: Clock) -> None:
    rate = Rate(tenants=3, clock=clock)
    for name in "abc":
        rate.take(name, 10, SIXTY)
    clock.now_s += 5
    rate.take("d", 10, SIXTY)
    assert not rate.take("e", 1, SIXTY).granted, "newcomers share one bucket"
    assert not rate.take("a", 10, SIXTY).granted, "nobody got a new bucket by it"
    clock.now_s += 10
    assert rate.take("f", 10, SIXTY).granted
    assert not rate.take("f", 1, SIXTY).granted


def test_memory_is_bounded(clock: Clock) -> None:
    rate = Rate(tenants=100, clock=clock)
    for number in range(10_000):
        clock.now_s += 0.01
        rate.take(f"t{number}", 1, SIXTY)
    assert len(rate) <= 101


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, b"0ms"), (0.0201, b"21ms"), (0.9999, b"1s"), (1, b"1s"), (1.2, b"2s"), (59.5, b"1m0s"),
     (360, b"6m0s"), (3599.5, b"1h0m0s"), (7500, b"2h5m0s")],
)  # fmt: skip
def test_durations(seconds: float, text: bytes) -> None:
    assert duration(seconds) == text
