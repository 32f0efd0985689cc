"""A listening socket with uvicorn's HTTP protocol on it, and an end that breaks off nobody.

uvicorn's own shutdown closes idle keep-alive connections at once: a request that is just on its
way over one of them is lost. Here they live on for a grace, every answer says `Connection: close`,
and a connection is closed only while nothing of a request has arrived on it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from email.utils import formatdate
from typing import Any
from weakref import WeakSet

import uvicorn

from aiconsole.onhost.inferd.gate import Gate
from aiconsole.onhost.inferd.network.connection import USUAL_S, Connection, State
from aiconsole.onhost.inferd.network.socket_connection import SocketConnection

log = logging.getLogger("inferd.listener")

BACKLOG = 4096
_KEEP_ALIVE_S = 75
_MESSAGE_BYTES = 4 * 1024 * 1024
_POLL_S = 0.02
_LAST_ANSWERS_S = 2.0


class Listener:
    """One listening socket."""

    def __init__(
        self,
        app: Gate,
        sock: socket.socket,
        *,
        read_s: float = USUAL_S,
        write_s: float = USUAL_S,
        tls: ssl.SSLContext | None = None,
        message_bytes: int = _MESSAGE_BYTES,
    ) -> None:
        """Prepare; nothing is accepted yet.

        Args:
            app: What answers.
            sock: Bound, and perhaps shared.
            read_s: How long a request may take to arrive.
            write_s: How long a client may take nothing of its answer.
            tls: What to show to clients; None speaks plainly.
            message_bytes: How long a message on a WebSocket may be.
        """
        self._sock = sock
        self._tls = tls
        self._greeting: WeakSet[Connection] = WeakSet()
        self._state = State()
        self._state.read_s, self._state.write_s = read_s, write_s
        self._config = uvicorn.Config(
            app,
            http=Connection,
            ws=SocketConnection,
            ws_max_size=message_bytes,
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self._server: asyncio.AbstractServer | None = None
        self._clock: asyncio.Task[None] | None = None

    def configure(self, *, read_s: float, write_s: float) -> None:
        """Set the times that clients get, from their next request on."""
        self._state.read_s, self._state.write_s = read_s, write_s

    async def open(self) -> None:
        """Accept from now on."""
        self._config.load()
        loop = asyncio.get_running_loop()
        self._sock.setblocking(False)
        # asyncio would set the backlog of the shared socket back to 100 for both slots.
        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {
                "ssl": self._tls,
                "ssl_handshake_timeout": self._state.read_s,
                "ssl_shutdown_timeout": min(self._state.write_s, _LAST_ANSWERS_S),
            }
        self._server = await loop.create_server(
            self._connection, sock=self._sock, backlog=BACKLOG, **tls
        )
        self._clock = asyncio.create_task(self._keep_date())

    async def stop_accepting(self) -> None:
        """Close our own descriptor; another process may go on with the same socket."""
        if self._server is not None:
            self._server.close()
        else:
            self._sock.close()
        await asyncio.sleep(0)  # connections accepted in this turn come up before we go on
        self._state.draining = True
        for connection in self._connections():
            connection.announce_end()

    async def drain(self, idle_grace_s: float, deadline: float, hurry: asyncio.Event) -> bool:
        """Wait until every connection has ended; False if `deadline` or `hurry` came first."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (connections := self._connections()) or self._greets():
            now = loop.time()
            if now >= deadline or hurry.is_set():
                return False
            for connection in connections:
                quiet_s = now - max(connection.idle_since, began)
                if quiet_s >= idle_grace_s and connection.idle:
                    connection.transport.close()
            await asyncio.sleep(_POLL_S)
        return True

    async def close(self) -> None:
        """End what is left: last answers go out, then connections are closed."""
        if self._server is not None:
            self._server.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LAST_ANSWERS_S
        while any(not connection.idle for connection in self._connections()):
            if loop.time() > deadline:
                break
            await asyncio.sleep(_POLL_S)
        for connection in self._connections():
            connection.transport.abort()
        if self._clock is not None:
            self._clock.cancel()

    def _connection(self) -> Connection:
        connection = Connection(self._config, self._state, {})
        if self._tls is not None:
            self._greeting.add(connection)
        return connection

    def _greets(self) -> bool:
        """Whether a client that was accepted is still at its handshake."""
        for connection in list(self._greeting):
            if connection.greeting:
                return True
            self._greeting.discard(connection)
        return False

    def _connections(self) -> list[Connection | SocketConnection]:
        kinds = (Connection, SocketConnection)
        return [c for c in self._state.connections if isinstance(c, kinds)]

    async def _keep_date(self) -> None:
        while True:
            now = formatdate(usegmt=True).encode()
            self._state.default_headers = [(b"date", now)]
            await asyncio.sleep(1.0)
