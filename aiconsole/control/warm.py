"""Verbs that wait on the host for their request: opened early, so that nobody waits for them.

A call costs several round trips before its request can go out, more where the tool itself has to be
sent. On a long line these are the time that an operation takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TypeAlias

from aiconsole.bundle.tool import ToolCall
from aiconsole.errors import AiconsoleError

Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[ToolCall]]


class Warm:
    """The calls of one host that wait; each is used once or closed."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Held] = {}

    def begin(self, verb: str, opening: Opening) -> None:
        """Open a verb beside other work; one that waits already is enough."""
        if verb not in self._waiting:
            self._waiting[verb] = _Held(opening)

    @asynccontextmanager
    async def take(self, verb: str) -> AsyncIterator[ToolCall | None]:
        """Hand out the call that waits; None where there is none, or where it came to nothing."""
        held = self._waiting.pop(verb, None)
        if held is None:
            yield None
            return
        try:
            yield await held.opened()
        finally:
            await held.close()

    async def close(self) -> None:
        """End what was not needed."""
        while self._waiting:
            _, held = self._waiting.popitem()
            await held.close()


class _Held:
    """One call, opened and closed by the same task."""

    def __init__(self, opening: Opening) -> None:
        self._talk: asyncio.Future[ToolCall | None] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._hold(opening))

    async def opened(self) -> ToolCall | None:
        return await asyncio.shield(self._talk)

    async def close(self) -> None:
        self._over.set()
        if not self._talk.done():
            self._task.cancel()
        with suppress(asyncio.CancelledError, AiconsoleError):
            await self._task

    async def _hold(self, opening: Opening) -> None:
        try:
            async with opening() as talk:
                self._talk.set_result(talk)
                await self._over.wait()
        finally:
            # Who waits for it opens a call of its own, and meets the error there.
            if not self._talk.done():
                self._talk.set_result(None)
