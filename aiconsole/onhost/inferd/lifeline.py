"""The line on which a request hangs: it can be cut, with a reason, from outside its task."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

CutReason: TypeAlias = Literal[
    "client-gone", "first-token-timeout", "between-tokens-timeout", "total-timeout", "drain"
]


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
        self._pause_limit_s = 0.0
        self._awaited_since = 0.0
        self._pause_timer: asyncio.TimerHandle | None = None
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

    def limit_pauses(self, limit_s: float) -> None:
        """Cut when the engine pauses for longer; `expect` and `rest` say when it is its turn.

        One timer looks at the time of the last `expect` now and then: a token costs no timer.
        """
        self._pause_limit_s = limit_s

    def expect(self) -> None:
        """From now on the engine is waited for."""
        self._awaited_since = self._loop.time()
        if self._pause_timer is None and self._pause_limit_s:
            self._look_in(self._pause_limit_s)

    def rest(self) -> None:
        """The engine has done its part; what takes time now is the client's own affair."""
        self._awaited_since = 0.0

    def _look_in(self, delay_s: float) -> None:
        self._pause_timer = self._loop.call_later(delay_s, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        paused_s = now - (self._awaited_since or now)
        if paused_s >= self._pause_limit_s:
            self.cut("between-tokens-timeout")
        else:
            self._look_in(self._pause_limit_s - paused_s)

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
        if self._pause_timer is not None:
            self._pause_timer.cancel()
