"""Quantiles of what happened between two readings of a histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping


def increase(now: Mapping[float, float], before: Mapping[float, float]) -> dict[float, float]:
    """The observations between two readings, cumulative by upper bound.

    A histogram that was not there before begins at nothing. Empty where the bounds differ or a
    count went back: they are not of the same histogram.
    """
    if before and now.keys() != before.keys():
        return {}
    grown = {bound: now[bound] - before.get(bound, 0.0) for bound in sorted(now)}
    return grown if all(count >= 0 for count in grown.values()) else {}


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """The value below which a share of the observations lies, linear within its bucket.

    None without observations. What lies above the highest finite bound is given as that bound.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    rank, low, below = share * total, 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= rank and count > below:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    return None
