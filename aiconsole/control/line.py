"""The line to one host's tool: session, layout and rights, so that callers name only verbs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from aiconsole.bundle import tool
from aiconsole.bundle.tool import Tool, ToolCall
from aiconsole.errors import CommandError
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import HostLayout, WireError, from_json, to_json
from aiconsole.session.pool import Pool
from aiconsole.session.protocol import Session

T = TypeVar("T")


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

    @property
    def layout_json(self) -> str:
        """The layout as the verbs take it."""
        return json.dumps(to_json(self.layout))

    async def session(self, *, now: bool = False) -> Session:
        """The pool's open session, or a new one; `now` waits for no backoff."""
        return await self.pool.session(self.host, now=now)

    async def call(self, verb: str, *args: str, stdin: bytes = b"") -> list[dict[str, Any]]:
        """Run a verb to its end and return its lines."""
        return await tool.call(
            await self.session(),
            self.tool,
            self.layout,
            verb,
            *args,
            stdin=stdin,
            sudo=self.sudo,
            python=self.python,
        )

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
        return _open(self, verb, args, stdin)

    async def drop(self) -> None:
        """Close the connection: the next use proves a new one."""
        await self.pool.drop(self.host)


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
