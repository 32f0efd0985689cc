"""The line on which a request hangs: it can be cut, with a reason, from outside its task."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

CutReason: TypeAlias = Literal["client-gone", "first-token-timeout", "total-timeout", "drain"]


class Lifeline:
    """Cancels the task that made it, and remembers why.

    Timers cost one heap entry each and no wake-up, unlike a timeout around every read.
    """

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._closed = False
        self.reason: CutReason | None = None

    def cut(self, reason: CutReason) -> None:
        """End the request's work; only the first reason counts."""
        if self.reason is None and not self._closed:
            self.reason = reason
            self._task.cancel()

    def after(self, delay_s: float, reason: CutReason) -> asyncio.TimerHandle:
        """Cut after `delay_s`, unless the handle is cancelled before."""
        timer = self._loop.call_later(delay_s, self.cut, reason)
        self._timers.append(timer)
        return timer

    def absorb(self) -> None:
        """Say that the cancellation was ours and has been dealt with."""
        uncancel = getattr(self._task, "uncancel", None)  # Python 3.11 and newer
        if uncancel is not None:
            uncancel()

    def close(self) -> None:
        """The work is done; nothing cuts from here on."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
