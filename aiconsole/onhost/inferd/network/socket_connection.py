"""A connection that has become a WebSocket: uvicorn's protocol with our limits and our end."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Protocol, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.network.crowd import Crowd

END = "inferd.end"
"""Type of the message that tells the application to finish what runs, and then to close."""
_CLOSE_S = 2.0
_GONE_S = 2.0


class Patience(Protocol):
    """What a listener's connections share."""

    draining: bool
    write_s: float
    """For a client to take something of its answer."""
    crowd: Crowd[Any]
    """Everybody who is connected."""


class SocketConnection(WebSocketsSansIOProtocol):
    """One client's WebSocket."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = cast("Patience", options["server_state"])
        self._stalled: asyncio.TimerHandle | None = None
        self._told = False
        self.close_timeout = _CLOSE_S
        self.idle_since = self.loop.time()

    @property
    def idle(self) -> bool:
        """Whether nothing is lost if the connection goes: the end has been said."""
        return self.close_sent

    def dismiss(self) -> None:
        """Close it; it is never asked to make room while it is open."""
        self.transport.close()

    def announce_end(self) -> None:
        """Have the application close when the answer under way is whole."""
        if not self._told:
            self._told = True
            self.queue.put_nowait(cast("Any", {"type": END}))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection over, and its place in the crowd."""
        super().connection_made(transport)
        self._limits.crowd.admit(self)
        self._limits.crowd.works(self)
        if self._limits.draining:
            self.announce_end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._forget_stall()
        self._limits.crowd.leaves(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read what it asked for; it may do so for a while."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self._limits.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        self._forget_stall()

    def handle_connect(self, event: Any) -> None:
        """Refuse in our shape what is no handshake."""
        response = self.conn.accept(event)
        if response.status_code == 101:
            super().handle_connect(event)
            return
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        error = ApiError(400, "This is not a valid WebSocket handshake.", code="invalid_handshake")
        self.transport.write(http_answer(error, b"sec-websocket-version: 13\r\n"))
        self.transport.close()

    async def send(self, message: Any) -> None:
        """Send; after either side has said the end, nobody is there to hear it."""
        await self.writable.wait()
        if self.close_sent:
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.close":
            self._bury()

    def handle_close(self, event: Any) -> None:
        """The client says the end."""
        super().handle_close(event)
        self._bury()

    def handle_parser_exception(self) -> None:
        """What came is no WebSocket, or too large."""
        super().handle_parser_exception()
        self._bury()

    def keepalive_timeout(self) -> None:
        """A client that answers no ping has gone: there is nobody to say the end to."""
        self.pong_timer = None
        self.transport.abort()

    def _bury(self) -> None:
        """A client that reads no more keeps what it was sent, and with that the connection."""
        self.loop.call_later(_GONE_S, self.transport.abort)

    def _forget_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


def http_answer(error: ApiError, more: bytes = b"") -> bytes:
    """An error as a whole HTTP answer, the last on its connection."""
    body = error.as_json()
    reason = HTTPStatus(error.status).phrase.encode()
    head = b"HTTP/1.1 %d %s\r\n" % (error.status, reason)
    head += b"".join([b"%s: %s\r\n" % pair for pair in error.headers()])
    return head + more + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body
