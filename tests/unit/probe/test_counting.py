from __future__ import annotations

import math

import pytest

from aiconsole.onhost.probe.histogram import increase, quantile
from aiconsole.onhost.probe.rate import Rates

INF = math.inf


def test_a_rate_needs_two_counts() -> None:
    rates = Rates()
    assert rates.per_s("rx", 100, 10.0) is None
    assert rates.per_s("rx", 300, 12.0) == 100.0
    assert rates.per_s("tx", 5, 12.0) is None


def test_a_counter_that_starts_again_gives_no_rate_and_then_goes_on() -> None:
    rates = Rates()
    rates.per_s("rx", 1000, 1.0)
    assert rates.per_s("rx", 10, 2.0) is None
    assert rates.per_s("rx", 20, 3.0) == 10.0


def test_an_unknown_count_breaks_the_series() -> None:
    rates = Rates()
    rates.per_s("rx", 10, 1.0)
    assert rates.per_s("rx", None, 2.0) is None
    assert rates.per_s("rx", 50, 3.0) is None


def test_no_time_no_rate() -> None:
    rates = Rates()
    rates.per_s("rx", 10, 1.0)
    assert rates.per_s("rx", 20, 1.0) is None


@pytest.mark.parametrize(
    ("share", "value"), [(0.25, 0.05), (0.5, 0.1), (0.75, 0.3), (0.9, 0.42), (1.0, 0.5)]
)
def test_a_quantile_is_linear_within_its_bucket(share: float, value: float) -> None:
    assert quantile({0.1: 50, 0.5: 100, INF: 100}, share) == pytest.approx(value)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile({0.1: 1, 0.5: 2, INF: 10}, 0.95) == 0.5


def test_no_observation_no_quantile() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({0.1: 0, INF: 0}, 0.5) is None


def test_the_increase_is_what_came_between() -> None:
    assert increase({1.0: 5, INF: 9}, {1.0: 3, INF: 4}) == {1.0: 2, INF: 5}
    assert increase({1.0: 5, INF: 9}, {}) == {1.0: 5, INF: 9}


def test_another_histogram_has_no_increase() -> None:
    assert increase({1.0: 1, INF: 2}, {1.0: 3, INF: 4}) == {}
    assert increase({2.0: 1, INF: 2}, {1.0: 0, INF: 0}) == {}
