"""Print the events of an operation to its end, and say how to come back where it is left."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiconsole.cli.render import JsonRenderer, LineRenderer
from aiconsole.control.events import Event, Result, RunAdvanced
from aiconsole.visible import visible


async def follow_events(
    stream: AsyncGenerator[Event, None], hosts: int, *, as_json: bool, brief: bool = False
) -> int:
    """Return the exit code: that of the host that fared worst."""
    renderer = JsonRenderer() if as_json else LineRenderer(several_hosts=hosts > 1, brief=brief)
    worst, at_work = 0, {}
    try:
        async with aclosing(stream) as events:
            async for event in events:
                renderer.show(event)
                if isinstance(event, RunAdvanced):
                    at_work[event.host] = event.run_id
                if isinstance(event, Result):
                    at_work.pop(event.host, None)
                    worst = max(worst, event.exit_code)
    except asyncio.CancelledError:
        for host, run_id in at_work.items():
            print(
                f"\nThe run on {host} goes on by itself.\n"
                f"  → watch it: aiconsole runs attach {host} {visible(run_id)}\n"
                f"  → stop it:  aiconsole runs cancel {host} {visible(run_id)}",
                file=sys.stderr,
            )
        raise
    return worst
