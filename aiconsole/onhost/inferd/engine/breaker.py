"""Leaves a provider alone that fails, and asks it again after a while."""

from __future__ import annotations

import time
from collections.abc import Callable

_LONGEST_FACTOR = 8


class Breaker:
    """Closed while all is well; open after failures in a row, until a proof closes it again.

    It is half-open when a proof is due: then the provider is asked by its watcher, and no
    client's request is risked on it.
    """

    def __init__(
        self, failures: int, open_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Closed.

        Args:
            failures: In a row, after which it opens.
            open_s: How long it stays open the first time; each failed proof doubles that, to
                eight times as long.
            clock: Of monotonic seconds.
        """
        self._limit = failures
        self._open_s = open_s
        self._clock = clock
        self._failed = 0
        self._opened = 0
        self._until = 0.0
        self._held_until = 0.0
        self.reason = ""
        """Of the last failure; empty after a success."""

    @property
    def is_open(self) -> bool:
        """Whether nothing may be asked."""
        return self._opened > 0

    @property
    def held_s(self) -> float:
        """For how long it has asked to be left in peace; 0 where it has not."""
        return max(0.0, self._held_until - self._clock())

    @property
    def proof_due_s(self) -> float:
        """How long until it may be asked for a proof; 0 is now."""
        return max(0.0, self._until - self._clock())

    def succeeded(self) -> None:
        """An answer came."""
        self._failed = self._opened = 0
        self.reason = ""

    def failed(self, reason: str, *, for_good: bool = False) -> bool:
        """A request failed; whether that opened it.

        With `for_good` it opens at once: the next request would fail in the same way.
        """
        self.reason = reason
        self._failed += 1
        if self.is_open or not (for_good or self._failed >= self._limit):
            return False
        self._open()
        return True

    def proof_failed(self, reason: str) -> None:
        """Still nothing: wait longer."""
        self.reason = reason
        self._open()

    def hold(self, pause_s: float) -> None:
        """It said when to come again."""
        self._held_until = max(self._held_until, self._clock() + pause_s)

    def _open(self) -> None:
        factor = min(2**self._opened, _LONGEST_FACTOR)
        self._until = self._clock() + self._open_s * factor
        self._opened += 1
