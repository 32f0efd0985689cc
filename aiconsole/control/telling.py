"""Work that reports through a callback, as a stream of events with its value at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from aiconsole.control.events import Progress
from aiconsole.errors import AiconsoleError

T = TypeVar("T")

Tell: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The last item of the stream."""

    value: T


async def telling(
    work: Callable[[Tell], Awaitable[T]],
) -> AsyncGenerator[Progress | Done[T], None]:
    """Yield what the work tells, then its value; leaving the stream cancels the work.

    Raises:
        AiconsoleError: Whatever the work raised.
    """
    news: asyncio.Queue[Progress | None] = asyncio.Queue()

    async def run() -> T:
        try:
            return await work(news.put_nowait)
        finally:
            news.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (item := await news.get()) is not None:
            yield item
        yield Done(await task)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, AiconsoleError):
            await task
