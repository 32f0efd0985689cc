"""Who may run now, who waits, and who is told to come back: slots and a bounded, fair queue."""

from __future__ import annotations

import asyncio

from aiconsole.onhost.inferd.errors import ApiError, unavailable
from aiconsole.onhost.inferd.limits.turns import Turns, Waiter
from aiconsole.onhost.inferd.settings.limits import LimitSettings


class Admission:
    """Tenants take turns, each one's requests in the order in which they came.

    A full queue refuses at once instead of letting everybody wait. But where some tenant has at
    least two requests more in it than the one that comes, the newcomer gets in all the same: the
    youngest of the tenant that waits with the most is refused in its stead. So one client alone
    may use the whole queue, and keeps nobody out with it.
    """

    def __init__(self, running_limit: int, queue_limit: int) -> None:
        self.running_limit = running_limit
        self.queue_limit = queue_limit
        self.usual_running = running_limit
        """Places where the settings leave them to the engine."""
        self.running = 0
        self._turns = Turns()
        self._usual_s = 1.0
        self._closed = False

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._turns)

    @property
    def full(self) -> bool:
        """Whether the next request would be refused, whosever it is."""
        return self.running >= self.running_limit and self.waiting >= self.queue_limit

    def configure(self, limits: LimitSettings) -> None:
        """Other numbers from now on: nobody loses a place or leaves the queue because of them."""
        self.queue_limit = limits.queue
        self.running_limit = limits.running or self.usual_running
        while self.running < self.running_limit and self._turns:
            self.running += 1
            self._hand_over()

    def close(self) -> None:
        """Refuse everybody from now on, those in the queue too."""
        self._closed = True
        while self._turns:
            _refuse(self._turns.next(), _draining())

    async def enter(self, tenant: str = "") -> None:
        """Wait for a place; every return must be matched by `leave`.

        Args:
            tenant: Whose request it is.

        Raises:
            ApiError: 503, the queue is full or the daemon is on its way out.
        """
        if self._closed:
            raise _draining()
        if self.running < self.running_limit and not self._turns:
            self.running += 1
            return
        if len(self._turns) >= self.queue_limit:
            self._make_room(tenant)
        await self._wait(tenant)

    def leave(self, took_s: float) -> None:
        """Give the place to the next one."""
        self._usual_s += 0.1 * (took_s - self._usual_s)
        self._hand_over()

    def retry_after_s(self) -> float:
        """When a place should be free, by how long requests took lately."""
        rounds = (self.waiting + 1) / max(1, self.running_limit)
        return min(60.0, max(1.0, rounds * self._usual_s))

    def _make_room(self, tenant: str) -> None:
        turns = self._turns
        if turns.most <= turns.of(tenant) + 1:
            raise self._full()
        _refuse(turns.drop_one(), self._full())

    async def _wait(self, tenant: str) -> None:
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._turns.add(tenant, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # The place was handed over in the very turn in which we were cancelled.
                self._hand_over()
            else:
                self._turns.forget(tenant, waiter)
            raise

    def _hand_over(self) -> None:
        while self._turns and self.running <= self.running_limit:
            waiter = self._turns.next()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.running -= 1

    def _full(self) -> ApiError:
        return unavailable(
            f"All {self.running_limit} places are taken and {self.waiting} requests wait.",
            code="queue_full",
            retry_after_s=self.retry_after_s(),
        )


def _refuse(waiter: Waiter, error: ApiError) -> None:
    if not waiter.done():
        waiter.set_exception(error)


def _draining() -> ApiError:
    return unavailable("This server is shutting down.", code="draining")
