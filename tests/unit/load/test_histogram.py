"""Quantiles of the histogram beside exact ones."""

from __future__ import annotations

import json
import math
import random

import pytest

from aiconsole.load.histogram import RELATIVE_ERROR, Histogram


def exact(values: list[float], share: float) -> float:
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def filled(values: list[float]) -> Histogram:
    found = Histogram()
    for value in values:
        found.record(value)
    return found


SOURCES = {
    "even": lambda r: r.uniform(0.001, 0.1),
    "long tail": lambda r: r.paretovariate(1.1) / 1000,
    "six decades": lambda r: 10 ** r.uniform(-6, 0),
    "two humps": lambda r: r.gauss(0.01, 0.001) if r.random() < 0.9 else r.gauss(2.0, 0.1),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("count", [1, 2, 7, 1000, 20_000])
def test_quantiles_are_within_the_stated_error(name: str, count: int) -> None:
    source = random.Random(count)
    values = [SOURCES[name](source) for _ in range(count)]
    found = filled(values)
    for share in (0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0):
        value = found.quantile(share)
        assert value == pytest.approx(exact(values, share), rel=RELATIVE_ERROR * 1.0001)
    assert found.quantile(1.0) == max(values)
    assert found.mean_s == pytest.approx(sum(values) / count)


def test_nothing_measured_is_nothing_known() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean_s is None


def test_zero_is_a_value() -> None:
    found = filled([0.0, 0.0, -1.0, 0.5])
    assert found.quantile(0.5) == 0.0
    assert found.quantile(1.0) == 0.5


def test_parts_add_up_to_the_whole_over_json() -> None:
    source = random.Random(3)
    values = [source.expovariate(10) for _ in range(5000)]
    merged = Histogram()
    for start in range(0, 5000, 700):
        told = json.dumps(filled(values[start : start + 700]).as_json())
        merged.merge(Histogram.from_json(json.loads(told)))
    merged.merge(Histogram.from_json(Histogram().as_json()))
    whole = filled(values)
    assert merged.counts == whole.counts
    assert (merged.count, merged.least_s, merged.greatest_s) == (5000, min(values), max(values))
    assert merged.quantile(0.99) == whole.quantile(0.99)


def test_a_million_times_take_little_memory() -> None:
    found = Histogram()
    source = random.Random(1)
    for _ in range(100_000):
        found.record(10 ** source.uniform(-5, 2))
    assert len(found.counts) < 3200
