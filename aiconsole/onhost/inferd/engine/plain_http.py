"""HTTP/1.1 to an engine on this machine, with next to no cost of its own.

An answer of many small pieces passes here a thousand times a second. What a general client does
for each request (URLs, cookies, redirects, timers, a stream reader) costs more than all the rest
of the gateway; an engine on a private socket needs none of it. httptools parses, as it does for
our own clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import httptools

from aiconsole.onhost.inferd.engine.transport import BrokeOffError, NotReachedError

_PAUSE_BYTES = 1024 * 1024
_GATHER_S = 0.01
"""Pieces that come faster than this are taken together: nobody reads 100 tokens a second one by
one, and each costs a way through the whole gateway, a system call, and a wake-up at the client."""
_KEPT_S = 2.0  # llama.cpp closes an idle connection after 5 s, and uvicorn does too
_FRAMING = (b"content-length", b"transfer-encoding")
_WANTED = {b"content-encoding": "Content-Encoding", b"retry-after": "Retry-After"}

Connect: TypeAlias = Callable[[Callable[[], asyncio.Protocol]], Awaitable[Any]]
"""Opens a connection for a protocol, as `loop.create_unix_connection` does."""


class PlainHttp:
    """Connections to one server; a few of them are kept."""

    def __init__(
        self, connect: Connect, api_key: str, kept: int, *, closes_streams: bool = False
    ) -> None:
        """Connect to nothing yet.

        Args:
            connect: Opens a connection.
            api_key: Sent as a bearer token; empty sends none.
            kept: How many idle connections are kept at most.
            closes_streams: Whether the server closes after a stream, and does not say so.
        """
        self._connect = connect
        self._kept = kept
        self._closes_streams = closes_streams
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        key = f"Authorization: Bearer {api_key}\r\n" if api_key else ""
        self._head = f" HTTP/1.1\r\nHost: engine\r\n{key}".encode()

    async def ask(self, method: str, url: str, data: bytes, *, stream: bool = False) -> Connection:
        """Send a request; the head of its answer has come."""
        request = self._request(method, url, data)
        fresh = stream and self._closes_streams
        connection = None if fresh else self._take_idle()
        if connection is not None:
            try:
                return await self._asked(connection, request)
            except BrokeOffError:
                # The server closed it just as we sent: it has not seen the request.
                if connection.heard:
                    raise
        return await self._asked(await self._opened(), request)

    async def close(self) -> None:
        """Break off what runs, and close what is open."""
        for connection in [*self._open, *self._idle]:
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)

    def leave(self, connection: Connection) -> None:
        """A request is over: keep its connection for the next one, or close it."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        if connection.reusable and len(self._idle) < self._kept:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()

    def _request(self, method: str, url: str, data: bytes) -> bytes:
        path = url[url.index("/", 8) :].encode()
        if not data:
            return b"%b %b%b\r\n" % (method.encode(), path, self._head)
        return b"%b %b%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            method.encode(), path, self._head, len(data), data,
        )  # fmt: skip

    def _take_idle(self) -> Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.open and now - connection.idle_since < _KEPT_S:
                return connection
            connection.abort()
        return None

    async def _opened(self) -> Connection:
        try:
            _, connection = await self._connect(lambda: Connection(self))
        except OSError as error:
            raise NotReachedError(str(error)) from error
        return cast("Connection", connection)

    async def _asked(self, connection: Connection, request: bytes) -> Connection:
        self._open.add(connection)
        try:
            await connection.send(request)
        except BaseException:  # a cancelled request leaves its connection to nobody either
            connection.close()
            raise
        return connection


class Connection(asyncio.Protocol):
    """One connection, one request at a time; while one is answered it is the response as well."""

    def __init__(self, pool: PlainHttp) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._taken_at = 0.0
        self._later: asyncio.TimerHandle | None = None
        self._whole = self._framed = self._keeps = False
        self.heard = False
        """Whether anything of the answer has come."""
        self.status = 0
        self.idle_since = 0.0

    @property
    def open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether the answer was read to its end, and the server keeps the connection."""
        return self._whole and self._keeps and not self._pieces and self.open

    async def send(self, request: bytes) -> None:
        """Send a request and wait for the head of its answer.

        Raises:
            BrokeOffError: The connection ended before.
        """
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._pieces = {}, []
        self._held_bytes = self.status = 0
        self.heard = self._whole = self._framed = self._keeps = False
        self._taken_at = 0.0
        if self._transport is not None:
            self._transport.write(request)
        while not self.status:
            await self._more()

    def header(self, name: str) -> str:
        """Value of one of the few headers that matter here."""
        return self._headers.get(name, "")

    async def pieces(self) -> bytes:
        """What has come of the body since the last call; empty at its end."""
        if self._pieces and self._transport is not None and self._is_early():
            await self._more()
        while not self._pieces:
            if self._whole:
                return b""
            await self._more()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._held_bytes > _PAUSE_BYTES and self._transport is not None:
            self._transport.resume_reading()
        self._held_bytes = 0
        self._taken_at = self._loop.time()
        return data

    def close(self) -> None:
        """The request is over."""
        self._pool.leave(self)

    def abort(self) -> None:
        """Close at once; whoever waits hears of it."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for a request."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse, and wake who waits."""
        self.heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()
        if not self._is_early():
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come; of a body without a length this is the end."""
        self._transport = None
        if exc is None and self.status and not self._framed:
            self._whole = True
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        lower = name.lower()
        if lower in _FRAMING:
            self._framed = True
        elif lower in _WANTED:
            self._headers[_WANTED[lower]] = value.decode("latin-1")

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
        self._keeps = self._parser.should_keep_alive()

    def _is_early(self) -> bool:
        """Whether to wait for more, since some was taken just now; who waits is woken later."""
        early_s = self._taken_at + _GATHER_S - self._loop.time()
        if early_s <= 0 or self._whole:
            return False
        if self._later is None:
            self._later = self._loop.call_later(early_s, self._wake)
        return True

    async def _more(self) -> None:
        """Wait until something has come, or nothing can come any more."""
        if self._transport is None:
            raise BrokeOffError("the connection was closed in mid-answer")
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
