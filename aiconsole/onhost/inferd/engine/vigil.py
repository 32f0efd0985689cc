"""Watches an engine that is up: one that gets on with nothing is found, busy or idle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiconsole.onhost.inferd.engine.progress import Progress
from aiconsole.onhost.inferd.errors import ApiError

_LONGEST_TICK_S = 1.0
_TICKS = 8


class Vigil:
    """Judges by progress alone: a health page of a stuck engine can still say that all is well."""

    def __init__(
        self,
        progress: Progress,
        prove: Callable[[], Awaitable[None]],
        limit_s: Callable[[], float],
        idle_proof_s: float,
    ) -> None:
        """Prepare; nothing is watched yet.

        Args:
            progress: What the engine got done.
            prove: Has it compute a token.
            limit_s: How long it may take for one, whatever it computes.
            idle_proof_s: After how long without work it is asked for a proof.
        """
        self._progress = progress
        self._prove = prove
        self._limit_s = limit_s
        self._idle_proof_s = idle_proof_s
        self._proof: asyncio.Task[str] | None = None

    async def watch(self) -> str:
        """Return as soon as the engine is stuck; what was seen."""
        self._progress.excuse()
        try:
            while True:
                tick_s = min(_LONGEST_TICK_S, self._limit_s() / _TICKS, self._idle_proof_s / _TICKS)
                late_s = await _sleep(tick_s)
                if late_s > self._limit_s() / 2:
                    self._progress.excuse()  # this process was stopped, and the engine perhaps too
                elif seen := self._look():
                    return seen
        finally:
            if self._proof is not None:
                self._proof.cancel()

    def _look(self) -> str:
        progress = self._progress
        if progress.stuck_s > self._limit_s():
            return (
                f"the engine stalled: {progress.running} at work"
                f" and no token for {progress.stuck_s:.0f} s"
            )
        if self._proof is not None and self._proof.done():
            fault, self._proof = self._proof.result(), None
            return fault
        if self._proof is None and progress.unproven_s > self._idle_proof_s:
            self._proof = asyncio.create_task(self._ask())
        return ""

    async def _ask(self) -> str:
        with self._progress.at_work():
            try:
                await self._prove()
            except ApiError as error:
                return f"the engine failed a completion while idle: {error}"
        self._progress.moved()
        return ""


async def _sleep(wanted_s: float) -> float:
    """Sleep; how much longer than wanted."""
    began = time.monotonic()
    await asyncio.sleep(wanted_s)
    return time.monotonic() - began - wanted_s
