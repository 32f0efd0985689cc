"""The same operation on several hosts: so many at a time, and the first failure stops the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Literal, TypeAlias

from aiconsole.control.events import Event, Result
from aiconsole.errors import AiconsoleError
from aiconsole.fleet.host import Host

OneHost: TypeAlias = Callable[[Host], AsyncGenerator[Event, None]]

_News: TypeAlias = "asyncio.Queue[tuple[Event, asyncio.Event] | asyncio.Task[None]]"
"""Each event with the sign that it was taken; a task where a host is through."""


async def in_batches(hosts: Sequence[Host], size: int, one: OneHost) -> AsyncGenerator[Event, None]:
    """Yield the events of all hosts as they come; each host ends with exactly one Result.

    A host whose operation raises ends with a `failed` or `refused` Result. After the first one
    that is not fine, hosts that have not begun are skipped; those at work go on to their end.
    A host goes on when its last event was taken: no question comes before what it is about.
    """
    waiting = list(hosts)
    news: _News = asyncio.Queue()
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
            event, taken = item
            if isinstance(event, Result) and event.exit_code != 0 and not stopped_by:
                stopped_by = event.host
            yield event
            taken.set()
    finally:
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task


async def _drain(one: OneHost, host: Host, news: _News) -> None:
    try:
        async with aclosing(one(host)) as events:
            async for event in events:
                taken = asyncio.Event()
                news.put_nowait((event, taken))
                await taken.wait()
    except AiconsoleError as error:
        refused = error.exit_code == 1
        outcome: Literal["refused", "failed"] = "refused" if refused else "failed"
        news.put_nowait((Result(host.name, outcome, error.title, error=error), asyncio.Event()))
