"""Who may run now, who waits, and who is told to come back: slots and a bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque

from aiconsole.onhost.inferd.errors import ApiError, unavailable


class Admission:
    """First come, first served; a full queue refuses at once instead of letting everybody wait."""

    def __init__(self, running_limit: int, queue_limit: int) -> None:
        self.running_limit = running_limit
        self.queue_limit = queue_limit
        self.running = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._usual_s = 1.0
        self._closed = False

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiters)

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self.running >= self.running_limit and self.waiting >= self.queue_limit

    def close(self) -> None:
        """Refuse everybody from now on, those in the queue too."""
        self._closed = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(_draining())

    async def enter(self) -> None:
        """Wait for a place; every return must be matched by `leave`.

        Raises:
            ApiError: 503, the queue is full or the daemon is on its way out.
        """
        if self._closed:
            raise _draining()
        if self.running < self.running_limit and not self._waiters:
            self.running += 1
            return
        if len(self._waiters) >= self.queue_limit:
            raise unavailable(
                f"All {self.running_limit} places are taken and {self.waiting} requests wait.",
                code="queue_full",
                retry_after_s=self.retry_after_s(),
            )
        await self._wait()

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # The place was handed over in the very turn in which we were cancelled.
                self._hand_over()
            else:
                self._forget(waiter)
            raise

    def leave(self, took_s: float) -> None:
        """Give the place to the next one."""
        self._usual_s += 0.1 * (took_s - self._usual_s)
        self._hand_over()

    def retry_after_s(self) -> float:
        """When a place should be free, by how long requests took lately."""
        rounds = (self.waiting + 1) / max(1, self.running_limit)
        return min(60.0, max(1.0, rounds * self._usual_s))

    def _hand_over(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.running -= 1

    def _forget(self, waiter: asyncio.Future[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)


def _draining() -> ApiError:
    return unavailable("This server is shutting down.", code="draining")
