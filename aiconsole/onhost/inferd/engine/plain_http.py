"""HTTP/1.1 to an engine on this machine, with next to no cost of its own.

An answer of many small pieces passes here a thousand times a second. What a general client does
for each request (URLs, cookies, redirects, timers, a stream reader) costs more than all the rest
of the gateway; an engine on a private socket needs none of it. httptools parses, as it does for
our own clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httptools

_PAUSE_BYTES = 1024 * 1024
_KEPT_S = 2.0


class EngineGoneError(ConnectionError):
    """The engine does not answer, answers what is not HTTP, or broke off."""


Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[Any]]
"""Opens a connection for a protocol, as `loop.create_unix_connection` does."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._whole = self._framed = False
        self.status = 0
        self.reusable = False
        """Whether the answer is whole and the server keeps the connection."""
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for a request."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse, and wake who waits."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()
        self._wake()

    def eof_received(self) -> bool:
        """The server has said all: connection_lost follows."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come; of a body without a length this is the end."""
        self._transport = None
        self.reusable = False
        if exc is None and self.status and not self._framed:
            self._whole = True
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._pieces.append(body)
        self._held_bytes += len(body)
        if self._held_bytes > _PAUSE_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._whole = True
        self.reusable = self._transport is not None and self._parser.should_keep_alive()

    @property
    def open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> int:
        """Send a request; the status, as soon as the head of the answer is there.

        Raises:
            EngineGoneError: The connection ended before.
        """
        self._parser = httptools.HttpResponseParser(self)
        self._pieces.clear()
        self._held_bytes = self.status = 0
        self._whole = self._framed = self.reusable = False
        if self._transport is None:
            raise EngineGoneError("closed")
        self._transport.write(request)
        while not self.status:
            await self._more()
        return self.status

    async def pieces(self) -> bytes:
        """What has come of the body since the last call; empty at its end.

        Raises:
            EngineGoneError: The connection ended before the body did.
        """
        while not self._pieces:
            if self._whole:
                return b""
            await self._more()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._held_bytes > _PAUSE_BYTES and self._transport is not None:
            self._transport.resume_reading()
        self._held_bytes = 0
        return data

    async def read(self) -> bytes:
        """The whole body."""
        found = []
        while data := await self.pieces():
            found.append(data)
        return b"".join(found)

    def close(self) -> None:
        """Close; whoever waits hears of it."""
        if self._transport is not None:
            self._transport.abort()

    async def _more(self) -> None:
        """Wait until something has come, or nothing can come any more."""
        if self._transport is None:
            raise EngineGoneError("the connection was closed in mid-answer")
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class PlainHttp:
    """Connections to one server; a few of them are kept."""

    def __init__(self, connect: Connect, api_key: str, kept: int) -> None:
        """Connect to nothing yet.

        Args:
            connect: Opens a connection.
            api_key: Sent as a bearer token; empty sends none.
            kept: How many idle connections are kept at most.
        """
        self._connect = connect
        self._kept = kept
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        key = f"Authorization: Bearer {api_key}\r\n" if api_key else ""
        self._head = f" HTTP/1.1\r\nHost: engine\r\n{key}".encode()

    def request(self, path: bytes, body: bytes) -> bytes:
        """A POST, whole."""
        return b"POST %b%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            path, self._head, len(body), body,
        )  # fmt: skip

    async def take(self, *, fresh: bool) -> Connection:
        """A connection for one request; give it back with `give_back`.

        Raises:
            OSError: Nobody listens there.
        """
        now = asyncio.get_running_loop().time()
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.open and now - connection.idle_since < _KEPT_S:
                self._open.add(connection)
                return connection
            connection.close()
        _, connection = await self._connect(Connection)
        self._open.add(connection)
        return cast("Connection", connection)

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next request, or close it."""
        self._open.discard(connection)
        if connection.reusable and connection.open and len(self._idle) < self._kept:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Break off what runs."""
        for connection in [*self._open, *self._idle]:
            connection.close()
        self._idle.clear()
