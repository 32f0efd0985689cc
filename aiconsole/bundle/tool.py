"""Talks to the tool on a host: sends it where it is missing, reads its lines, tells its faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiconsole.bundle.packed_tool import PYTHON, STUB, Tool, build_tool, tool_argv, tool_path
from aiconsole.bundle.tool_fault import error_of_end, error_of_fault
from aiconsole.errors import AiconsoleError, CommandError
from aiconsole.onhost.wire import HostLayout
from aiconsole.session.command import Command
from aiconsole.session.protocol import Process, Session

__all__ = [
    "PYTHON", "STUB", "Tool", "ToolCall", "build_tool", "call", "open_call", "tool_argv",
    "tool_path",
]  # fmt: skip

_NOISE_LINES = 50
"""What a host's shell profile may print before the tool gets its turn."""


class ToolCall:
    """One verb at work: an async iterator of its lines, and a way to send it more."""

    def __init__(self, process: Process, host: str) -> None:
        self._process = process
        self._host = host
        self._reading = asyncio.Lock()

    def __aiter__(self) -> ToolCall:
        return self

    async def __anext__(self) -> dict[str, Any]:
        line = await self.read()
        if line is None:
            raise StopAsyncIteration
        return line

    async def read(self) -> dict[str, Any] | None:
        """The next line of the tool; None at its good end.

        Raises:
            LinkLostError: The link died.
            AiconsoleError: The tool's fault, or the way in which it ended without one.
        """
        # A failed write reads the tool's last word, perhaps while somebody else reads.
        async with self._reading:
            line = await self._process.readline()
            if line:
                return self._decode(line)
            done = await self._process.wait()
        if done.exit_status != 0:
            raise error_of_end(done, self._host)
        return None

    async def write(self, data: bytes) -> None:
        """Send more to the tool.

        Raises:
            LinkLostError: The link died.
            AiconsoleError: The tool ended; its fault says why.
        """
        try:
            await self._process.write(data)
        except CommandError as error:
            raise await self._last_word(error) from error

    async def write_eof(self) -> None:
        """Say that nothing more comes."""
        await self._process.write_eof()

    def _decode(self, line: bytes) -> dict[str, Any]:
        value = _object(line, self._host)
        if "fault" in value:
            raise error_of_fault(value["fault"], self._host)
        return value

    async def _last_word(self, error: AiconsoleError) -> AiconsoleError:
        """Why the tool stopped reading: its fault, if it said one."""
        try:
            while await self.read() is not None:
                pass
        except AiconsoleError as fault:
            return fault
        return error


@asynccontextmanager
async def open_call(
    session: Session,
    tool: Tool,
    layout: HostLayout,
    verb: str,
    *args: str,
    stdin: bytes = b"",
    sudo: bool = False,
    python: str = PYTHON,
) -> AsyncIterator[ToolCall]:
    """Start a verb on a host and talk to it; stdin stays open after `stdin`.

    The tool itself is sent only where the host does not hold it. Leaving the context stops
    the verb, never a run that it has started.

    Raises:
        LinkLostError: The link died.
        PreflightError: The host has no Python, or one that is too old.
        AiconsoleError: The tool's fault.
    """
    argv = tool_argv(tool, layout, verb, *args, python=python)
    command = Command(argv, timeout_s=None, sudo=sudo)
    async with session.open(command) as process:
        talk = ToolCall(process, session.host_name)
        if await _tool_is_missing(process, session.host_name):
            await talk.write(tool.content)
        if stdin:
            await talk.write(stdin)
        yield talk


async def call(
    session: Session,
    tool: Tool,
    layout: HostLayout,
    verb: str,
    *args: str,
    stdin: bytes = b"",
    sudo: bool = False,
    timeout_s: float | None = 60.0,
    python: str = PYTHON,
) -> list[dict[str, Any]]:
    """Run a verb to its end and return its lines; raises as `open_call` does.

    Raises:
        CommandError: It did not end within `timeout_s`.
    """
    try:
        async with (
            asyncio.timeout(timeout_s),
            open_call(
                session, tool, layout, verb, *args, stdin=stdin, sudo=sudo, python=python
            ) as talk,
        ):
            await talk.write_eof()
            return [line async for line in talk]
    except TimeoutError as error:
        raise CommandError(
            f"{session.host_name} did not answer in time",
            f"{verb} took over {timeout_s:g} s",
            "The host may be overloaded, or a disk or network filesystem of it may hang.",
        ) from error


async def _tool_is_missing(process: Process, host: str) -> bool:
    """Read the stub's answer: whether the host wants the tool."""
    for _ in range(_NOISE_LINES):
        line = await process.readline()
        if not line:
            raise error_of_end(await process.wait(), host)
        if line in (b"HAVE\n", b"NEED\n"):
            return line == b"NEED\n"
        if line.startswith(b'{"fault"'):
            raise error_of_fault(_object(line, host)["fault"], host)
    raise CommandError(
        f"The tool on {host} cannot be heard",
        "the login shell prints too much before it",
        "Keep the shell's profile silent for commands.",
    )


def _object(line: bytes, host: str) -> dict[str, Any]:
    """Decode a line of the tool; whatever else comes from a host is an error, never a surprise."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise CommandError(
            f"The tool's answer from {host} cannot be read",
            f"{len(line)} bytes that are not a JSON object",
            "Run it again; if it stays, look at python3 and the login shell on the host.",
        )
    return value
