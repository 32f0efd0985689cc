"""One load from its beginning to its report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiconsole.load.crew import open_crew
from aiconsole.load.progress import Progress
from aiconsole.load.spec import Spec
from aiconsole.secret import Secret


async def run_load(
    spec: Spec, key: Secret | None, workers: int, stop: asyncio.Event
) -> AsyncGenerator[Progress, None]:
    """Yield the same progress again and again, as beats come; the last one is whole.

    Args:
        spec: The load.
        key: What the service wants to see.
        workers: Processes that send it.
        stop: Set, it ends the load early; what is at work is left and counted.

    Raises:
        CommandError: A worker ended before its time.
    """
    async with open_crew(spec, key, workers) as crew:
        progress = Progress(spec, await crew.begin())
        yield progress

        async def watch() -> None:
            await stop.wait()
            progress.stop()
            crew.stop()

        watching = asyncio.create_task(watch())
        try:
            async with aclosing(crew.beats()) as beats:
                async for beat in beats:
                    progress.add(beat)
                    yield progress
        finally:
            watching.cancel()
