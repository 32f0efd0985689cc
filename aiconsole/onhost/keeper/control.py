"""The keeper's own socket: JSON lines, from its own user alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from aiconsole.onhost.keeper.fault import KeeperFault

Answer: TypeAlias = "dict[str, Any]"
Handle: TypeAlias = Callable[[dict[str, Any], Callable[[str], None]], Awaitable[Answer]]
MAX_LINE_BYTES = 256 * 1024


def open_control(path: str) -> socket.socket:
    """Listen on the keeper's socket, 0600; the caller holds the keeper's lock."""
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        sock.bind(path)
    finally:
        os.umask(mask)
    sock.listen(64)
    sock.setblocking(False)
    return sock


class Control:
    """Answers each line of each caller; slow requests of one caller hold up nobody else."""

    def __init__(self, handle: Handle, answered: Callable[[], None]) -> None:
        """Answer by `handle`; `answered` is called when an answer has gone out."""
        self._handle = handle
        self._answered = answered
        self._server: asyncio.AbstractServer | None = None

    async def serve(self, sock: socket.socket) -> None:
        """Begin to accept."""
        self._server = await asyncio.start_unix_server(
            self._converse, sock=sock, limit=MAX_LINE_BYTES
        )

    def close(self, path: str) -> None:
        """Take no new caller; those that wait for an answer still get it."""
        Path(path).unlink(missing_ok=True)
        if self._server:
            self._server.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A caller may go away at any time; what it asked for goes on.
            with contextlib.suppress(ConnectionError, ValueError):
                await self._talk(reader, writer)
        finally:
            writer.close()  # After a defect too: a caller would wait for its answer.

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if _peer_uid(writer) not in (0, os.getuid()):
            await reader.readline()  # Closing with it unread would reset the connection.
            await _send(writer, KeeperFault("denied", "not this user's keeper").as_json())
            return
        while line := await reader.readline():
            try:
                await self._answer(line, writer)
            finally:
                self._answered()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        def say(text: str) -> None:
            if not writer.is_closing():
                writer.write(_line({"progress": text}))

        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise KeeperFault("bad-request", "a request is a JSON object")
            answer = {"ok": True, **await self._handle(request, say)}
        except KeeperFault as fault:
            answer = fault.as_json()
        except ValueError as error:
            answer = KeeperFault("bad-request", f"not a request: {error}").as_json()
        except OSError as error:
            answer = KeeperFault("internal", str(error)).as_json()
        await _send(writer, answer)


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(_line(answer))
    await writer.drain()


def _line(value: Answer) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    sock = writer.get_extra_info("socket")
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])
