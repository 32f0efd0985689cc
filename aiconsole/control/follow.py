"""Start a run on a host and follow it to its end, through as many lost links as there are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiconsole.control.events import LinkChanged, RunAdvanced
from aiconsole.control.line import HostLine
from aiconsole.errors import BusyError, LinkLostError, NotFoundError, UnreachableError
from aiconsole.onhost.wire import Plan, RunEvent, from_json, to_json
from aiconsole.secret import Secret

_SILENCE_LIMIT_S = 7.0
"""The host says something every 2 s while it is followed; this much silence is a lost link."""

_RETRY_S = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0)
"""Waits between attempts to come back; the last one repeats."""


async def run_plan(
    line: HostLine, plan: Plan, secrets: dict[str, Secret]
) -> AsyncGenerator[RunAdvanced | LinkChanged, None]:
    """Start the plan as a run and yield its events to `run-finished`.

    Raises:
        BusyError: Another run holds the lock.
        AiconsoleError: It could not be started; nothing was changed.
    """
    opening = {"plan": to_json(plan), "secrets": {k: v.reveal() for k, v in secrets.items()}}
    stdin = json.dumps(opening).encode() + b"\n"
    async with aclosing(_follow(line, plan.run_id, 0, stdin)) as events:
        async for event in events:
            yield event


async def attach_run(
    line: HostLine, run_id: str
) -> AsyncGenerator[RunAdvanced | LinkChanged, None]:
    """Yield the events of a run that was started before, from its first one on.

    Raises:
        NotFoundError: The host knows no such run.
    """
    async with aclosing(_follow(line, run_id, 0, b"")) as events:
        async for event in events:
            yield event


async def _follow(
    line: HostLine, run_id: str, seq: int, start_stdin: bytes
) -> AsyncGenerator[RunAdvanced | LinkChanged, None]:
    """Follow from `seq`; with `start_stdin` start the run first.

    A start that was cut off may or may not have reached the host: after the link is back the run
    is asked for, and started again only where the host has never heard of it.
    """
    starting = bool(start_stdin)
    lost, attempt = False, 0
    while True:
        try:
            async with aclosing(
                _events(line, run_id, seq, start_stdin if starting else b"")
            ) as seen:
                async for event in seen:
                    if lost:
                        lost, attempt = False, 0
                        yield LinkChanged(line.host.name, "up", "attached again")
                    starting = False
                    seq = event.seq + 1
                    yield RunAdvanced(line.host.name, run_id, event)
                    if event.kind == "run-finished":
                        return
        except NotFoundError:
            if not start_stdin or seq:
                raise
            starting = True
        except BusyError as error:
            if error.run_id != run_id:
                raise
            starting = False
        except (LinkLostError, UnreachableError) as error:
            if not lost and not isinstance(error, LinkLostError):
                raise
            if not lost:
                lost = True
                yield LinkChanged(line.host.name, "unknown", f"{error}; the run goes on by itself")
            starting = False
            await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            attempt += 1


async def _events(
    line: HostLine, run_id: str, seq: int, start_stdin: bytes
) -> AsyncGenerator[RunEvent, None]:
    """Read the journal over one channel; beats only prove that the line is alive."""
    verb = ("start",) if start_stdin else ("follow", run_id, str(seq), line.layout_json)
    async with line.open(*verb, stdin=start_stdin) as talk:
        while True:
            try:
                message = await asyncio.wait_for(talk.read(), _SILENCE_LIMIT_S)
            except TimeoutError as error:
                await line.drop()
                raise LinkLostError(
                    f"{line.host.name} went silent", f"nothing for {_SILENCE_LIMIT_S:.0f} s"
                ) from error
            if message is None:
                raise LinkLostError("The line ended before the run did")
            if "seq" in message:
                yield from_json(RunEvent, message)
