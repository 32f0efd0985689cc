"""A local port that leads to an address on the host's side: one relay for SSH and this machine."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

from aiconsole.errors import AiconsoleError, HostError

LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 64 * 1024


class Reading(Protocol):
    """The half of a stream that is read."""

    async def read(self, n: int = -1) -> bytes:
        """Return up to n bytes, `b""` at the end."""


class Writing(Protocol):
    """The half of a stream that is written."""

    def write(self, data: bytes) -> None:
        """Queue bytes."""

    async def drain(self) -> None:
        """Wait while too much is queued."""

    def write_eof(self) -> None:
        """Close this half."""

    def close(self) -> None:
        """Close the stream."""


Dial: TypeAlias = Callable[[], Awaitable[tuple[Reading, Writing]]]
"""Opens one connection on the host's side; raises HostError or OSError where that fails."""


class Relay:
    """Listens on the loopback and copies each connection to one on the host's side."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @classmethod
    async def listen(cls, dial: Dial, local_port: int) -> Relay:
        """Start listening.

        Raises:
            HostError: The local port is taken or not allowed.
        """
        relay = cls(dial)
        try:
            relay._server = await asyncio.start_server(relay._accept, LOOPBACK, local_port)
        except OSError as error:
            raise HostError(
                f"Port {local_port} of this machine cannot be used",
                error.strerror or str(error),
                "Choose another local port, or 0 for any free one.",
            ) from error
        return relay

    @property
    def local_port(self) -> int:
        """The port on 127.0.0.1 of this machine."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and cut the connections."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        connections = tuple(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._dial()
        except (AiconsoleError, OSError):
            _reset(writer)
            return
        both = [
            asyncio.create_task(_copy(reader, far_writer)),
            asyncio.create_task(_copy(far_reader, writer)),
        ]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
            if any(copying.exception() for copying in done):
                _reset(writer)
        finally:
            for copying in both:
                copying.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            far_writer.close()
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, so that the client sees a failure and no end of an answer."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _copy(source: Reading, target: Writing) -> None:
    while data := await source.read(_CHUNK_BYTES):
        target.write(data)
        await target.drain()
    target.write_eof()
