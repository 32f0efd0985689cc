"""Reads what a host is, in one round trip."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiconsole.errors import HostError
from aiconsole.fleet.facts_parse import parse_facts
from aiconsole.fleet.facts_script import SCRIPT
from aiconsole.fleet.facts_shape import Facts, Listener, Space
from aiconsole.session.command import Command
from aiconsole.session.protocol import Session
from aiconsole.visible import visible

__all__ = ["Facts", "Listener", "Space", "read_facts"]

_TIMEOUT_S = 60.0


async def read_facts(session: Session) -> Facts:
    """Read a host in one round trip.

    Raises:
        HostError: The host has no POSIX shell, or its answer was cut off.
        LinkLostError: The link died.
    """
    command = Command(("sh", "-s"))
    async with session.open(command) as process, _in_time(session.host_name):
        # The shell waits already, so that the clocks are compared without the time to start it.
        sent_unix_s = time.time()
        await process.write(SCRIPT.encode())
        await process.write_eof()
        completed = await process.wait()
        received_unix_s = time.time()
    text = completed.stdout.decode(errors="replace")
    try:
        return parse_facts(text, sent_unix_s, received_unix_s)
    except ValueError as error:
        stderr = visible(completed.stderr.decode(errors="replace").strip())
        raise HostError(
            f"{session.host_name} did not tell what it is",
            f"{error} (exit status {completed.exit_status}) {stderr}".strip(),
            "A Linux host with a POSIX shell is needed; check that the login shell prints nothing.",
        ) from error


@asynccontextmanager
async def _in_time(host_name: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            yield
    except TimeoutError as error:
        raise HostError(
            f"{host_name} did not tell what it is",
            f"no end after {_TIMEOUT_S:g} s",
            "The host may be overloaded, or a disk or network mount on it may hang.",
        ) from error
