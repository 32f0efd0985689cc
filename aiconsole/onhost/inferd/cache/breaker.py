"""Keeps requests away from what does not answer, and lets one try now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0


class Breaker:
    """Open after a failure; the pause doubles with each try that fails."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_s = 0.0
        self._opened = self._until = 0.0

    @property
    def closed(self) -> bool:
        """Whether all is well."""
        return not self._pause_s

    def ask(self) -> float | None:
        """When this request asks, or None where it must not; after a pause one may try."""
        now = self._clock()
        if self._pause_s:
            if now < self._until:
                return None
            # Whoever comes while that one is on its way waits for the next pause to end.
            self._until = now + self._pause_s
        return now

    def failed(self, asked: float) -> None:
        """A request that asked then got no answer; many that fail together are one failure."""
        if self._pause_s and asked < self._opened:
            return
        self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s or _FIRST_PAUSE_S)
        self._opened = self._clock()
        self._until = self._opened + self._pause_s

    def worked(self) -> None:
        """There was an answer."""
        self._pause_s = 0.0
