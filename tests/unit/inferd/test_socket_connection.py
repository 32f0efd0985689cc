"""One WebSocket at a time, over a socket pair: clients that do not play along."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from aiconsole.onhost.inferd.network.connection import Connection, State
from aiconsole.onhost.inferd.network.socket_connection import SocketConnection

HEAD = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO = b"\x81\x85\x00\x00\x00\x00hello"


class App:
    """Accepts, and notes what it hears; floods where it is asked to."""

    def __init__(self, *, flood: bool = False) -> None:
        self.heard: list[str] = []
        self.failed = ""
        self._flood = flood

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(3600)
        await send({"type": "websocket.accept"})
        flood = asyncio.create_task(self._send_all(send)) if self._flood else None
        while not self.heard or self.heard[-1] != "websocket.disconnect":
            self.heard.append((await receive())["type"])
        if flood is not None:
            await flood

    async def _send_all(self, send: Any) -> None:
        try:
            while True:
                await send({"type": "websocket.send", "text": "x" * 65536})
                await asyncio.sleep(0)
        except OSError as error:
            self.failed = type(error).__name__


@asynccontextmanager
async def opened(
    app: App, *, write_s: float = 60.0, **options: Any
) -> AsyncIterator[tuple[socket.socket, State]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    config = uvicorn.Config(
        app, http=Connection, ws=SocketConnection, lifespan="off", log_config=None,
        interface="asgi3", ws_per_message_deflate=False, **options,
    )  # fmt: skip
    config.load()
    state = State()
    state.write_s = write_s
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: Connection(config, state, {}), sock=ours)
    try:
        yield theirs, state
    finally:
        for connection in list(state.connections):
            connection.transport.abort()
        theirs.close()
        for task in list(state.tasks):
            task.cancel()
        if state.tasks:
            await asyncio.wait(list(state.tasks))


async def _until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def _read(sock: socket.socket) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), 20)


async def _shake(sock: socket.socket) -> None:
    sock.sendall(HEAD)
    assert (await _read(sock)).startswith(b"HTTP/1.1 101 ")


async def test_the_connection_is_handed_over_and_counted() -> None:
    app = App()
    async with opened(app) as (sock, state):
        await _shake(sock)
        (connection,) = state.connections
        assert isinstance(connection, SocketConnection)
        assert not connection.idle
        sock.sendall(HELLO)
        await _until(lambda: app.heard == ["websocket.connect", "websocket.receive"])
        sock.close()
        await _until(lambda: not state.connections)
        assert app.heard[-1] == "websocket.disconnect"


async def test_an_upgrade_behind_an_answer_under_way_is_refused() -> None:
    async with opened(App()) as (sock, state):
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD)
        assert await _read(sock) == b""
        await _until(lambda: not state.connections)


async def test_the_end_is_told_once_and_to_new_ones_at_once() -> None:
    app = App()
    async with opened(app) as (sock, state):
        await _shake(sock)
        (connection,) = state.connections
        assert isinstance(connection, SocketConnection)
        connection.announce_end()
        connection.announce_end()
        await _until(lambda: app.heard == ["websocket.connect", "inferd.end"])
    late = App()
    async with opened(late) as (sock, state):
        state.draining = True
        await _shake(sock)
        await _until(lambda: sorted(late.heard) == ["inferd.end", "websocket.connect"])


async def test_who_answers_no_ping_has_gone() -> None:
    app = App()
    async with opened(app, ws_ping_interval=0.05, ws_ping_timeout=0.05) as (sock, state):
        sock.sendall(HEAD)
        found = b""
        while piece := await _read(sock):
            found += piece
        assert b"\x89\x04" in found
        await _until(lambda: not state.connections)
        assert app.heard[-1] == "websocket.disconnect"


async def test_who_does_not_read_is_cut() -> None:
    app = App(flood=True)
    async with opened(app, write_s=0.05) as (sock, state):
        await _shake(sock)
        await _until(lambda: not state.connections)
        await _until(lambda: app.failed == "ClientDisconnected")


async def test_what_is_sent_after_a_fault_of_the_client_is_not_our_fault() -> None:
    app = App(flood=True)
    async with opened(app) as (sock, _):
        await _shake(sock)
        sock.sendall(b"\xff" * 16)  # no frame
        await _until(lambda: app.failed == "ClientDisconnected")
        assert app.heard[-1] == "websocket.disconnect"
