"""The same operation on several hosts: so many at a time, and the first failure stops the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import TypeAlias

from aiconsole.control.events import Event, Result
from aiconsole.errors import AiconsoleError
from aiconsole.fleet.host import Host

OneHost: TypeAlias = Callable[[Host], AsyncGenerator[Event, None]]


async def in_batches(hosts: Sequence[Host], size: int, one: OneHost) -> AsyncGenerator[Event, None]:
    """Yield the events of all hosts as they come; each host ends with exactly one Result.

    A host whose operation raises ends with a `failed` or `refused` Result. After the first one
    that is not fine, hosts that have not begun are skipped; those at work go on to their end.
    """
    waiting = list(hosts)
    news: asyncio.Queue[Event | asyncio.Task[None]] = asyncio.Queue()
    running: set[asyncio.Task[None]] = set()
    stopped_by = ""
    try:
        while waiting or running:
            while waiting and not stopped_by and len(running) < max(1, size):
                task = asyncio.create_task(_drain(one, waiting.pop(0), news))
                running.add(task)
                task.add_done_callback(news.put_nowait)
            if waiting and stopped_by:
                host = waiting.pop(0)
                yield Result(host.name, "skipped", f"{stopped_by} did not end well")
                continue
            item = await news.get()
            if isinstance(item, asyncio.Task):
                running.discard(item)
                item.result()
                continue
            if isinstance(item, Result) and item.exit_code != 0 and not stopped_by:
                stopped_by = item.host
            yield item
    finally:
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task


async def _drain(one: OneHost, host: Host, news: asyncio.Queue[Event | asyncio.Task[None]]) -> None:
    try:
        async with aclosing(one(host)) as events:
            async for event in events:
                news.put_nowait(event)
    except AiconsoleError as error:
        refused = error.exit_code == 1
        news.put_nowait(
            Result(host.name, "refused" if refused else "failed", error.title, error=error)
        )
