"""One connection at a time, over a socket pair: clients that do not play along."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from aiconsole.onhost.inferd.network.connection import Connection, State

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


async def _echo(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _flood(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await asyncio.sleep(0)


@asynccontextmanager
async def connected(
    app: Any = _echo, *, read_s: float = 60.0, write_s: float = 60.0
) -> AsyncIterator[tuple[socket.socket, Connection, State]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    config = uvicorn.Config(app, http=Connection, ws="none", lifespan="off", log_config=None)
    config.load()
    state = State()
    state.read_s, state.write_s = read_s, write_s
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(lambda: Connection(config, state, {}), sock=ours)
    try:
        yield theirs, made, state
    finally:
        made.transport.abort()
        theirs.close()
        for task in list(state.tasks):
            task.cancel()
        if state.tasks:
            await asyncio.wait(list(state.tasks))


async def _until(met: Callable[[], bool]) -> None:
    while not met():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


def _idle(connection: Connection) -> bool:
    return connection.idle


async def _read(sock: socket.socket, size: int = 65536) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, size), 10)


async def _all(sock: socket.socket) -> bytes:
    found = b""
    while piece := await _read(sock):
        found += piece
    return found


async def test_a_silent_client_is_not_kept() -> None:
    async with connected(read_s=0.05) as (sock, _, _):
        assert await _read(sock) == b""


@pytest.mark.parametrize("part", [GET[:9], POST + b"12"], ids=["head", "body"])
async def test_a_request_that_never_ends_is_given_up(part: bytes) -> None:
    async with connected(read_s=0.05) as (sock, _, _):
        sock.sendall(part)
        answer = await _all(sock)
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"read_timeout" in answer


async def test_head_and_body_go_out_as_one() -> None:
    async with connected() as (sock, _, _):
        sock.sendall(POST + b"hello")
        assert (await _read(sock)).endswith(b"hello")


async def test_time_before_a_request_is_not_taken_from_it() -> None:
    async with connected() as (sock, connection, _):
        before = connection._patience
        sock.sendall(POST)
        await _until(lambda: connection._patience is not before)
        sock.sendall(b"hello")
        assert (await _read(sock)).endswith(b"hello")
        assert connection._patience is None


async def test_a_client_that_does_not_read_is_cut() -> None:
    async with connected(_flood, write_s=0.05) as (sock, connection, state):
        sock.sendall(GET)
        await _until(lambda: connection.flow.write_paused)
        await _until(lambda: connection not in state.connections)
        assert connection.transport.is_closing()


async def test_idle_means_that_no_byte_has_come() -> None:
    async with connected() as (sock, connection, _):
        assert _idle(connection)
        sock.sendall(POST[:9])
        assert not _idle(connection)  # still in the kernel
        await _until(lambda: connection._reading)
        assert not _idle(connection)  # half a head
        sock.sendall(POST[9:] + b"hello")
        await _read(sock)
        assert _idle(connection)


async def test_while_draining_the_answer_is_the_last() -> None:
    async with connected() as (sock, _, state):
        state.draining = True
        sock.sendall(POST + b"hello")
        answer = await _all(sock)
        assert b"connection: close\r\n" in answer
        assert answer.endswith(b"hello")


async def test_pipelined_requests_are_both_answered() -> None:
    async with connected() as (sock, _, _):
        sock.sendall(POST + b"hello" + POST + b"world")
        found = b""
        while b"world" not in found:
            found += await _read(sock)
        assert found.count(b"HTTP/1.1 200 OK") == 2


async def test_a_head_without_end() -> None:
    async with connected() as (sock, _, _):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\n")
        # The reset that follows the answer can be faster than the answer.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(200):
                await loop.sock_sendall(sock, b"X-A: " + b"y" * 1000 + b"\r\n")
        answer = b"HTTP/1.1 431 "
        with contextlib.suppress(ConnectionResetError):
            answer = await _read(sock)
        assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_head_in_two_halves_that_are_each_within_the_limit() -> None:
    async with connected() as (sock, connection, _):
        loop = asyncio.get_running_loop()
        half = b"y" * 40_000
        await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + half)
        await _until(lambda: connection._since_bytes > 40_000)
        await loop.sock_sendall(sock, half + b"\r\n\r\n")
        assert (await _read(sock)).startswith(b"HTTP/1.1 431 ")
