"""The line to one host's tool: session, layout and rights, so that callers name only verbs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiconsole.bundle import tool
from aiconsole.bundle.tool import Tool, ToolCall
from aiconsole.control.warm import Warm
from aiconsole.errors import CommandError
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import HostLayout, WireError, from_json, to_json
from aiconsole.session.pool import Pool
from aiconsole.session.protocol import Session

T = TypeVar("T")

_CALL_S = 60.0
"""Of a verb that only looks."""


@dataclass(frozen=True, slots=True)
class HostLine:
    """How to reach the installation on one host."""

    host: Host
    pool: Pool
    tool: Tool
    layout: HostLayout
    sudo: bool
    """True where the login user must become root for this layout."""
    python: str
    """Path of the host's interpreter."""
    _warm: Warm = field(default_factory=Warm, compare=False)

    @property
    def layout_json(self) -> str:
        """The layout as the verbs take it."""
        return json.dumps(to_json(self.layout))

    async def session(self, *, now: bool = False) -> Session:
        """The pool's open session, or a new one; `now` waits for no backoff."""
        return await self.pool.session(self.host, now=now)

    def warm(self, *verbs: str) -> None:
        """Open verbs without arguments ahead of their request; `cool` ends what was not used.

        Not where sudo may have to ask: it is asked once, by a call that is waited for.
        """
        if self.sudo or self.host.endpoint.kind == "local":
            return
        for verb in verbs:
            self._warm.begin(verb, lambda verb=verb: _open(self, verb, (), b""))  # type: ignore[misc]

    async def cool(self) -> None:
        """End the calls that wait and are not wanted any more."""
        await self._warm.close()

    @asynccontextmanager
    async def cooling(self) -> AsyncGenerator[None, None]:
        """End the calls that wait however the block ends."""
        try:
            yield
        finally:
            await self.cool()

    async def call(self, verb: str, *args: str, stdin: bytes = b"") -> list[dict[str, Any]]:
        """Run a verb to its end and return its lines.

        Raises:
            CommandError: It did not end within a minute.
        """
        try:
            async with asyncio.timeout(_CALL_S), self.open(verb, *args, stdin=stdin) as talk:
                await talk.write_eof()
                return [line async for line in talk]
        except TimeoutError as error:
            raise CommandError(
                f"{self.host.name} did not answer in time",
                f"{verb} took over {_CALL_S:g} s",
                "The host may be overloaded, or a disk or network filesystem of it may hang.",
            ) from error

    async def ask(self, verb: str, *args: str, stdin: bytes = b"") -> dict[str, Any]:
        """Run a verb that answers with one line."""
        lines = await self.call(verb, *args, stdin=stdin)
        if len(lines) != 1:
            raise CommandError(
                "The host's answer cannot be read", f"{verb}: {len(lines)} lines instead of one"
            )
        return lines[0]

    def shaped(self, shape: type[T], answer: dict[str, Any]) -> T:
        """Read an answer as the shape it should have.

        Raises:
            CommandError: It has another one.
        """
        try:
            return from_json(shape, answer)
        except WireError as error:
            raise CommandError(
                f"The answer of {self.host.name} cannot be read",
                str(error),
                "What aiconsole keeps on the host is damaged, or of another version; deploy again.",
            ) from error

    def open(
        self, verb: str, *args: str, stdin: bytes = b""
    ) -> AbstractAsyncContextManager[ToolCall]:
        """Start a verb to read its lines as they come; see `bundle.tool.open_call`."""
        return _open_warm(self, self._warm, verb, args, stdin)

    async def drop(self) -> None:
        """Close the connection: the next use proves a new one."""
        await self.cool()
        await self.pool.drop(self.host)


@asynccontextmanager
async def _open_warm(
    line: HostLine, warm: Warm, verb: str, args: tuple[str, ...], stdin: bytes
) -> AsyncGenerator[ToolCall, None]:
    async with warm.take(verb if not args else "") as waiting:
        if waiting is not None:
            if stdin:
                await waiting.write(stdin)
            yield waiting
            return
    async with _open(line, verb, args, stdin) as talk:
        yield talk


@asynccontextmanager
async def _open(
    line: HostLine, verb: str, args: tuple[str, ...], stdin: bytes
) -> AsyncGenerator[ToolCall, None]:
    session = await line.session()
    async with tool.open_call(
        session,
        line.tool,
        line.layout,
        verb,
        *args,
        stdin=stdin,
        sudo=line.sudo,
        python=line.python,
    ) as talk:
        yield talk
