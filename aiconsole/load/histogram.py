"""Times in buckets that grow with the time: any number of them in little memory, and mergeable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

STEPS = 128
"""Buckets for each doubling of the value."""
RELATIVE_ERROR = 1 / (2 * STEPS)
"""How far a quantile can lie from the true one, as a share of it: 0.4 %."""

_NOTHING = -1_000_000
"""Bucket of zero: pieces of an answer that came together."""


class Histogram:
    """Counts of values from zero; count, sum, least and greatest are exact."""

    __slots__ = ("count", "counts", "greatest_s", "least_s", "sum_s")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.count = 0
        self.sum_s = 0.0
        self.least_s = math.inf
        self.greatest_s = 0.0

    def record(self, value_s: float) -> None:
        """Count one value; what is below zero counts as zero."""
        if value_s > 0:
            mantissa, exponent = math.frexp(value_s)
            bucket = exponent * STEPS + int((mantissa - 0.5) * 2 * STEPS)
        else:
            value_s, bucket = 0.0, _NOTHING
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1
        self.sum_s += value_s
        self.least_s = min(self.least_s, value_s)
        self.greatest_s = max(self.greatest_s, value_s)

    def merge(self, other: Histogram) -> None:
        """Add the counts of another."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.count += other.count
        self.sum_s += other.sum_s
        self.least_s = min(self.least_s, other.least_s)
        self.greatest_s = max(self.greatest_s, other.greatest_s)

    def quantile(self, share: float) -> float | None:
        """The value that this share of all values does not exceed; None where there are none."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        if rank >= self.count:
            return self.greatest_s
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                return min(max(_middle_s(bucket), self.least_s), self.greatest_s)
        return self.greatest_s

    @property
    def mean_s(self) -> float | None:
        """The mean of all values; None where there are none."""
        return self.sum_s / self.count if self.count else None

    def as_json(self) -> dict[str, Any]:
        """As it passes between processes."""
        if not self.count:
            return {}
        return {
            "counts": list(self.counts.items()),
            "sum_s": self.sum_s,
            "least_s": self.least_s,
            "greatest_s": self.greatest_s,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Histogram:
        """The reverse of `as_json`."""
        found = cls()
        if document:
            found.counts = {int(bucket): int(count) for bucket, count in document["counts"]}
            found.count = sum(found.counts.values())
            found.sum_s = float(document["sum_s"])
            found.least_s = float(document["least_s"])
            found.greatest_s = float(document["greatest_s"])
        return found


def _middle_s(bucket: int) -> float:
    if bucket == _NOTHING:
        return 0.0
    exponent, step = divmod(bucket, STEPS)
    return math.ldexp(0.5 + (step + 0.5) / (2 * STEPS), exponent)
