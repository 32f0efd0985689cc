"""A rate that everybody has to themselves: used up in a burst, and refilled as time goes by."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

_TENANTS = 10_000
_LOOKS = 8
_TOGETHER = "\0others"
_HAIR_S = 1e-6


class Allowance(NamedTuple):
    """How fast one may go on, and how much of that in one go."""

    per_minute: float
    """0 is no limit."""
    burst_s: float
    """Seconds' worth of the rate that may be used up at once; at least one unit is."""

    @property
    def burst(self) -> float:
        """Units that may be taken in one go."""
        return max(1.0, self.per_minute * self.burst_s / 60)


class Standing(NamedTuple):
    """How one stands after asking for some."""

    granted: bool
    left: int
    """Whole units that could be taken now; never negative."""
    full_in_s: float
    """When all of the burst is there again."""
    wait_s: float
    """When the same could be granted; 0 where it was."""


class Rate:
    """GCRA: of each tenant, only the time at which its bucket is full again.

    More may be taken than the bucket holds (`charge`): then it is in debt, and nothing is granted
    until time has paid it. Tenants whose bucket is full are forgotten, which changes nothing for
    them. When so many are at work that none can be forgotten, newcomers share one bucket.
    """

    def __init__(
        self, tenants: int = _TENANTS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start with full buckets.

        Args:
            tenants: How many are remembered.
            clock: Seconds that only go forward.
        """
        self._limit = tenants
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Tenants that are remembered."""
        return len(self._full_at)

    def take(self, tenant: str, amount: float, allowance: Allowance) -> Standing:
        """Ask for `amount`; what is more than a whole burst is granted to who has a full one."""
        now = self._clock()
        bucket = self._bucket(tenant, now)
        full_at = max(now, self._full_at.get(bucket, now))
        unit_s, burst = 60 / allowance.per_minute, allowance.burst
        wait_s = full_at - now - (burst - min(amount, burst)) * unit_s
        if wait_s > _HAIR_S:
            return Standing(False, _left(full_at - now, allowance), full_at - now, wait_s)
        full_at = self._put(bucket, full_at + amount * unit_s)
        return Standing(True, _left(full_at - now, allowance), full_at - now, 0.0)

    def look(self, tenant: str, allowance: Allowance) -> Standing:
        """How it stands, with nothing taken."""
        now = self._clock()
        full_in_s = max(0.0, self._full_at.get(self._bucket(tenant, now), now) - now)
        return Standing(True, _left(full_in_s, allowance), full_in_s, 0.0)

    def charge(self, tenant: str, amount: float, allowance: Allowance) -> None:
        """Take without asking; a negative amount gives back."""
        if not amount or not allowance.per_minute:
            return
        now = self._clock()
        bucket = self._bucket(tenant, now)
        known = self._full_at.get(bucket, now)
        if known <= now and amount < 0:
            return
        self._put(bucket, max(now, known) + amount * 60 / allowance.per_minute)

    def _put(self, bucket: str, full_at: float) -> float:
        self._full_at[bucket] = full_at
        self._full_at.move_to_end(bucket)
        return full_at

    def _bucket(self, tenant: str, now: float) -> str:
        """The tenant's own one, if there is room for it."""
        known = self._full_at
        if tenant in known or len(known) < self._limit:
            return tenant
        for _ in range(_LOOKS):
            oldest, full_at = next(iter(known.items()))
            if full_at <= now:
                del known[oldest]
                return tenant
            known.move_to_end(oldest)
        return _TOGETHER


def _left(full_in_s: float, allowance: Allowance) -> int:
    """Whole units in a bucket that is full again after so long."""
    return max(0, int(allowance.burst - (full_in_s - _HAIR_S) * allowance.per_minute / 60))
