"""An event loop whose timers are true to some microseconds.

epoll counts in milliseconds, so asyncio wakes up to one late: in an open loop every request would
be sent late by that, and the server would be blamed. select() on the epoll's own descriptor counts
in microseconds.
"""

from __future__ import annotations

import asyncio
import select
import selectors


class _FineSelector(selectors.EpollSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


def fine_loop() -> asyncio.AbstractEventLoop:
    """A new loop, for `asyncio.Runner`."""
    return asyncio.SelectorEventLoop(_FineSelector())
