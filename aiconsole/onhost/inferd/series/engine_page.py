"""The engine's own series, asked for at most once a second.

llama.cpp starts some of its rates anew with each time that they are read: two scrapers that
both reached the engine would spoil each other's numbers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiconsole.onhost.inferd.engine.protocol import Engine
from aiconsole.onhost.inferd.errors import ApiError, unavailable

KEPT_S = 1.0
_LIMIT_S = 5.0


class EnginePage:
    """One text for all who ask within a second."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._asking = asyncio.Lock()
        self._text = b""
        self._read_at = -KEPT_S

    async def text(self) -> bytes:
        """What the engine said at most a second ago.

        Raises:
            ApiError: 503, it is down or does not answer.
        """
        async with self._asking:
            if self._clock() - self._read_at < KEPT_S:
                return self._text
            try:
                self._text = await asyncio.wait_for(self._engine.metrics_text(), _LIMIT_S)
            except asyncio.TimeoutError:
                raise unavailable(
                    "The engine does not show its metrics in time.", code="engine_unavailable"
                ) from None
            except ApiError as error:
                raise unavailable(error.message, code="engine_unavailable") from error
            self._read_at = self._clock()
            return self._text
