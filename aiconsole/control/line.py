"""The line to one host's tool: session, layout and rights, so that callers name only verbs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from aiconsole.bundle import tool as host_tool
from aiconsole.errors import CommandError
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import HostLayout, to_json
from aiconsole.session.pool import Pool
from aiconsole.session.protocol import Session


@dataclass(frozen=True, slots=True)
class HostLine:
    """How to reach the installation on one host."""

    host: Host
    pool: Pool
    layout: HostLayout
    sudo: bool
    """True where the login user must become root for this layout."""
    python: str
    """Path of the host's interpreter."""

    @property
    def layout_json(self) -> str:
        """The layout as the verbs take it."""
        return json.dumps(to_json(self.layout))

    async def session(self) -> Session:
        """The pool's open session, or a new one."""
        return await self.pool.session(self.host)

    async def call(self, verb: str, *args: str, stdin: bytes = b"") -> list[dict[str, Any]]:
        """Run a verb to its end and return its lines."""
        return await host_tool.call(
            await self.session(),
            host_tool.build_tool(),
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

    def stream(
        self, verb: str, *args: str, stdin: bytes = b""
    ) -> AbstractAsyncContextManager[AsyncIterator[dict[str, Any]]]:
        """Open a verb and read its lines as they come."""
        raise NotImplementedError
