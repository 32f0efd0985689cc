"""Start a run on a host and follow it to its end, through as many lost links as there are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from aiconsole.bundle.tool import ToolCall
from aiconsole.control.events import LinkChanged, RunAdvanced
from aiconsole.control.line import HostLine
from aiconsole.errors import (
    AiconsoleError,
    BusyError,
    CommandError,
    LinkLostError,
    NotFoundError,
    UnreachableError,
)
from aiconsole.onhost.wire import Plan, RunEvent, WireError, from_json, to_json
from aiconsole.secret import Secret

_SILENCE_LIMIT_S = 7.0
"""The host says something every 2 s while it is followed; this much silence is a lost link."""

_RETRY_S = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0)
"""Waits between attempts to come back; the last one repeats."""

_LAST_WORD_S = 1.0
"""Of the verb that followed a run, once the run is through."""

_REFUSALS = 5
"""Answers in a row that cannot be used before the run is left to itself."""


async def run_plan(
    line: HostLine, plan: Plan, secrets: dict[str, Secret]
) -> AsyncGenerator[RunAdvanced | LinkChanged, None]:
    """Start the plan as a run and yield its events to `run-finished`.

    Raises:
        BusyError: Another run holds the lock.
        LinkLostError: It was started, or may have been, and cannot be followed any more.
        AiconsoleError: It could not be started; nothing was changed.
    """
    opening = {"plan": to_json(plan), "secrets": {k: v.reveal() for k, v in secrets.items()}}
    stdin = json.dumps(opening).encode() + b"\n"
    async with aclosing(_Following(line, plan.run_id, stdin).news()) as events:
        async for event in events:
            yield event


async def attach_run(
    line: HostLine, run_id: str
) -> AsyncGenerator[RunAdvanced | LinkChanged, None]:
    """Yield the events of a run that was started before, from its first one on.

    Raises:
        NotFoundError: The host knows no such run.
        LinkLostError: It cannot be followed any more.
    """
    async with aclosing(_Following(line, run_id, b"").news()) as events:
        async for event in events:
            yield event


class _Following:
    """One run, and what this console knows of it.

    A start that was cut off may or may not have reached the host: after the link is back the run
    is asked for, and started again only where the host has never heard of it.
    """

    def __init__(self, line: HostLine, run_id: str, start_stdin: bytes) -> None:
        self._line, self._run_id, self._start_stdin = line, run_id, start_stdin
        self._host = line.host.name
        self._starting = bool(start_stdin)
        self._next_seq = 0
        self._known = False
        """True once the host has spoken of this run."""
        self._lost = False
        self._in_doubt: CommandError | None = None
        """How a start ended of which nobody knows whether it began a run."""
        self._attempt = 0
        self._refusals = 0

    async def news(self) -> AsyncGenerator[RunAdvanced | LinkChanged, None]:
        while True:
            try:
                async with aclosing(self._events()) as events:
                    async for event in events:
                        if self._lost:
                            self._lost = False
                            yield LinkChanged(self._host, "up", "attached again")
                        if event is None:
                            continue
                        self._attempt = 0
                        self._next_seq = event.seq + 1
                        yield RunAdvanced(self._host, self._run_id, event)
                        if event.kind == "run-finished":
                            return
            except AiconsoleError as error:
                lost_before = self._lost
                self._take(error)
                if self._lost and not lost_before:
                    why = f"{error}; the run goes on by itself"
                    yield LinkChanged(self._host, "unknown", why)
                    # Only now: to close a connection that is dead takes its time.
                    await self._line.drop()
                await self._pause()

    def _take(self, error: AiconsoleError) -> None:
        """Choose how to go on after an error, or raise what it means for the caller."""
        match error:
            case LinkLostError():
                self._lost, self._starting = True, False
            case UnreachableError() if self._may_run:
                self._lost, self._starting = True, False
            case NotFoundError() if self._start_stdin and not self._known:
                if self._in_doubt is not None:
                    raise self._in_doubt
                self._starting = True
            case BusyError() if error.run_id == self._run_id:
                self._starting = False
            case CommandError() if self._starting and self._in_doubt is None:
                self._in_doubt, self._starting = error, False
            case CommandError() if self._may_run and self._refusals < _REFUSALS:
                self._refusals += 1
                self._starting = False
            case _ if self._may_run and not isinstance(error, BusyError):
                raise self._abandoned(error) from error
            case _:
                raise error

    @property
    def _may_run(self) -> bool:
        """True where a run may be at work on the host that this console has begun or follows."""
        return self._known or self._lost or self._in_doubt is not None

    def _abandoned(self, error: AiconsoleError) -> LinkLostError:
        return LinkLostError(
            f"The run on {self._host} cannot be followed any more: how it ends is unknown",
            str(error),
            f"aiconsole runs attach {self._host} {self._run_id}",
        )

    async def _pause(self) -> None:
        if self._lost or not self._starting:
            await asyncio.sleep(_RETRY_S[min(self._attempt, len(_RETRY_S) - 1)])
            self._attempt += 1

    async def _events(self) -> AsyncGenerator[RunEvent | None, None]:
        """Read the journal over one channel; None is a sign of life and no event."""
        verb, stdin = ["follow", self._run_id, str(self._next_seq), self._line.layout_json], b""
        if self._starting:
            verb, stdin = ["start"], self._start_stdin
        if self._lost:
            # The pace is kept here; the pool's own grows beyond what an operator waits for.
            await self._line.session(now=True)
        async with self._line.open(*verb, stdin=stdin) as talk:
            yield None
            while True:
                try:
                    message = await asyncio.wait_for(talk.read(), _SILENCE_LIMIT_S)
                except TimeoutError as error:
                    raise LinkLostError(
                        f"{self._host} went silent", f"nothing for {_SILENCE_LIMIT_S:.0f} s"
                    ) from error
                if message is None:
                    raise LinkLostError("The line ended before the run did")
                self._known, self._refusals = True, 0
                event = self._event(message)
                if event is not None and event.kind == "run-finished":
                    await _to_its_end(talk)
                yield event

    def _event(self, message: dict[str, object]) -> RunEvent | None:
        if "seq" not in message:
            return None
        try:
            return from_json(RunEvent, message)
        except WireError as error:
            raise CommandError(f"{self._host} answers what cannot be read", str(error)) from error


async def _to_its_end(talk: ToolCall) -> None:
    """Let the verb end by itself: to stop it would cost a channel and its round trips."""
    with suppress(TimeoutError, AiconsoleError):
        async with asyncio.timeout(_LAST_WORD_S):
            while await talk.read() is not None:
                pass
