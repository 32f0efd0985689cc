"""One connection: uvicorn's HTTP protocol, with an end to all that a client can draw out."""

from __future__ import annotations

import array
import asyncio
import fcntl
import termios
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from aiconsole.onhost.inferd.errors import ApiError, unavailable
from aiconsole.onhost.inferd.network.crowd import Crowd
from aiconsole.onhost.inferd.network.socket_connection import SocketConnection, http_answer
from aiconsole.onhost.inferd.network.together import Together

USUAL_S = 60.0
_HEAD_LIMIT_BYTES = 64 * 1024
_HEADERS = 256
_WRAPPING = 16
"""Bytes around each byte of a body: a chunk of one byte has six, and few clients send such."""
_PIPELINED = 100
_LATE_S = 1.0
_GREETING_S = 5.0
"""How long an end waits for a handshake that has begun; who needs longer may ask elsewhere."""

_NOT_HTTP = ApiError(400, "This is not a valid HTTP request.", code="invalid_http")
_TOO_MANY = unavailable("Too many clients are connected.", code="too_many_connections")
_TOO_LARGE = ApiError(431, "The request's headers are too large.", code="headers_too_large")


class State(ServerState):
    """uvicorn's state, shared by the connections of one listener."""

    draining = False
    read_s = USUAL_S
    """For a request to arrive whole, and for a new connection to begin one."""
    write_s = USUAL_S
    """For a client to take something of its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.crowd: Crowd[Connection] = Crowd()


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = cast("State", self.server_state)
        self._made = False
        self._reading = False
        self._in_head = False
        self._fresh = False
        self._late = False
        self._chunk_bytes = self._extra_bytes = self._body_bytes = 0
        self._since_bytes = 0
        """Of all chunks from the one in which the request began: its head has at most that."""
        self._refusal = _NOT_HTTP
        self._patience: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self.idle_since = self.loop.time()

    @property
    def greeting(self) -> bool:
        """Accepted, and its TLS handshake is under way."""
        return not self._made and self.loop.time() - self.idle_since < _GREETING_S

    @property
    def idle(self) -> bool:
        """No answer under way, and not a byte of a request has arrived."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return not (busy or self._reading or self.pipeline or _unread_bytes(self.transport))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client that connects and says nothing is not kept for ever."""
        self._made, self.idle_since = True, self.loop.time()
        super().connection_made(Together(transport))  # type: ignore[arg-type]
        if not self._limits.crowd.admit(self):
            self._answer(_TOO_MANY)
            return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._limits.crowd.leaves(self)
        self._forget_patience()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is no body: a head has an end, and so has what is wrapped around a body."""
        if self.transport.is_closing():
            return
        self._chunk_bytes, self._fresh = len(data), False
        before = self._body_bytes
        super().data_received(data)
        if not self._reading or self.transport.is_closing():
            return
        self._since_bytes += len(data)
        if self._fresh:
            return  # other requests may have come before it in this chunk
        self._extra_bytes += len(data) - (self._body_bytes - before)
        if self._extra_bytes > _HEAD_LIMIT_BYTES + _WRAPPING * self._body_bytes:
            self._answer(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._reading = self._in_head = self._fresh = True
        self._extra_bytes = self._body_bytes = self._since_bytes = 0
        self._late = False
        self._limits.crowd.works(self)
        super().on_message_begin()
        self._forget_patience()
        self._expect_request()

    def on_headers_complete(self) -> None:
        """From here on the body is counted by who reads it."""
        headers = self.headers
        if len(headers) > _HEADERS or self._since_bytes + self._chunk_bytes > _HEAD_LIMIT_BYTES:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if len(headers) > _HEADERS or size > _HEAD_LIMIT_BYTES:
                self._refuse(_TOO_LARGE)
        if len(self.pipeline) >= _PIPELINED:
            self._refuse(_NOT_HTTP)
        super().on_headers_complete()
        self._in_head = False
        if self._limits.draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of the head; what comes after a body in chunks changes nothing any more."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._reading = False
        self._forget_patience()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The connection is idle again."""
        self._made, self.idle_since = True, self.loop.time()
        super().on_response_complete()
        if not (self._reading or self.pipeline):
            self._limits.crowd.rests(self)

    def pause_writing(self) -> None:
        """The client does not read what it asked for; it may do so for a while."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self._limits.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def timeout_keep_alive_handler(self) -> None:
        """Idle for too long; but a request that has just arrived is served."""
        if self.idle:
            super().timeout_keep_alive_handler()

    def dismiss(self) -> None:
        """Make room for another one."""
        self.transport.close()

    def announce_end(self) -> None:
        """Let the answer under way say that it is the last, if its head is not out yet."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def handle_websocket_upgrade(self) -> None:
        """Become a WebSocket, unless an answer is still under way: it would lose its connection."""
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy or self.pipeline:
            self.transport.close()  # a refusal would pass for that answer
            return
        self._forget_patience()
        self.resume_writing()
        self.connections.discard(self)
        made = SocketConnection(
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        self._limits.crowd.leaves(self)
        made.connection_made(self.transport)
        made.data_received(self._head())
        if not made.handshake_initiated:
            self.send_400_response("")
        self.transport.set_protocol(made)

    def _head(self) -> bytes:
        """The request's head, once more."""
        lines = [b"%s %s HTTP/1.1" % (self.scope["method"].encode(), self.url)]
        lines += [b"%s: %s" % pair for pair in self.scope["headers"]]
        return b"\r\n".join([*lines, b"", b""])

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP gets an error in our shape."""
        self._answer(self._refusal)

    def _refuse(self, error: ApiError) -> None:
        """Stop reading; called by the parser, which passes no exception of ours on."""
        self._refusal = error
        raise ValueError(error.message)

    def _answer(self, error: ApiError) -> None:
        """Answer with an error and close, unless another answer is still under way."""
        if self._owes_another():
            self.transport.close()
            return
        self.transport.write(http_answer(error))
        self.transport.close()

    def _owes_another(self) -> bool:
        """Whether an answer here would pass for that to an earlier request, or break into it."""
        cycle = self.cycle
        if self._reading and not self._in_head and not self.pipeline:
            return cycle is not None and cycle.response_started  # it answers this very request
        return cycle is not None and not cycle.response_complete

    def _expect_request(self) -> None:
        self._patience = self.loop.call_later(self._limits.read_s, self._give_up)

    def _forget_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        if _unread_bytes(self.transport) and not self._late:
            # Bytes that we have not taken yet are no fault of the client's, once.
            self._late = not self.flow.read_paused
            delay_s = _LATE_S if self._late else self._limits.read_s
            self._patience = self.loop.call_later(delay_s, self._give_up)
            return
        if self._reading:
            self._answer(ApiError(408, "The request did not arrive in time.", code="read_timeout"))
        self.transport.close()


def _unread_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the kernel holds for this connection and the loop has not delivered yet."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.is_closing():
        return 0
    count = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.FIONREAD, count)
    except OSError:
        return 0
    return count[0]
