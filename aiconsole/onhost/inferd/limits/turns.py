"""Who is next: tenants in a ring, and the requests of each in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from typing import TypeAlias

Waiter: TypeAlias = "asyncio.Future[None]"


class Turns:
    """Every operation takes the same time, however many wait."""

    def __init__(self) -> None:
        self._ring: OrderedDict[str, OrderedDict[Waiter, None]] = OrderedDict()
        self._by_count: defaultdict[int, OrderedDict[str, None]] = defaultdict(OrderedDict)
        self._count = 0
        self.most = 0
        """Requests of the tenant that waits with the most."""

    def __len__(self) -> int:
        """Requests that wait."""
        return self._count

    def of(self, tenant: str) -> int:
        """Requests of one tenant."""
        return len(self._ring.get(tenant, ()))

    def add(self, tenant: str, waiter: Waiter) -> None:
        """At the end of its tenant's line; a tenant that was not there comes last."""
        line = self._ring.get(tenant)
        if line is None:
            line = self._ring[tenant] = OrderedDict()
        line[waiter] = None
        self._count += 1
        self._moved(tenant, len(line) - 1, len(line))

    def next(self) -> Waiter:
        """Take out the first request of the tenant whose turn it is."""
        tenant, line = next(iter(self._ring.items()))
        waiter, _ = line.popitem(last=False)
        self._taken(tenant, line)
        if line:
            self._ring.move_to_end(tenant)
        return waiter

    def drop_one(self) -> Waiter:
        """Take out the youngest request of the tenant that waits with the most."""
        tenant = next(iter(self._by_count[self.most]))
        line = self._ring[tenant]
        waiter, _ = line.popitem(last=True)
        self._taken(tenant, line)
        return waiter

    def forget(self, tenant: str, waiter: Waiter) -> None:
        """Take out one that does not wait any more, if it is still there."""
        line = self._ring.get(tenant)
        if line is not None and waiter in line:
            del line[waiter]
            self._taken(tenant, line)

    def _taken(self, tenant: str, line: OrderedDict[Waiter, None]) -> None:
        self._count -= 1
        self._moved(tenant, len(line) + 1, len(line))
        if not line:
            del self._ring[tenant]

    def _moved(self, tenant: str, before: int, now: int) -> None:
        """Counts change by one, so the highest of them does too."""
        if before:
            group = self._by_count[before]
            del group[tenant]
            if not group:
                del self._by_count[before]
        if now:
            self._by_count[now][tenant] = None
        if now > self.most or (before == self.most and before not in self._by_count):
            self.most = now
