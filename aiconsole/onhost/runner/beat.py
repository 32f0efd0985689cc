"""A line each 2 s while nothing else is said, so that a dead link shows on the console."""

from __future__ import annotations

import time

from aiconsole.onhost.runner.lines import emit

_EACH_S = 2.0


class Beat:
    """Says that the host is there."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def maybe(self) -> None:
        """Emit a beat where the last one is 2 s ago."""
        if time.monotonic() - self._last >= _EACH_S:
            self._last = time.monotonic()
            emit({"beat": time.time()})
