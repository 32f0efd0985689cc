"""The HTTP that engines on this machine are spoken to with, against real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.engine.plain_http import EngineGoneError, PlainHttp

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def server(
    room: Path, answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]
) -> AsyncIterator[tuple[PlainHttp, list[bytes]]]:
    """A server that reads one whole request after the other and answers as the test says."""
    asked: list[bytes] = []
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        talks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                asked.append(head + await reader.readexactly(length))
                outcome = answer(reader, writer)
                if asyncio.iscoroutine(outcome):
                    await outcome
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    path = room / "s"
    running = await asyncio.start_unix_server(talk, path)
    loop = asyncio.get_running_loop()
    http = PlainHttp(lambda make: loop.create_unix_connection(make, str(path)), "sesame", 2)
    try:
        yield http, asked
    finally:
        http.close()
        for _ in range(5):  # a connection that was only just made is accepted, and then closed
            await asyncio.sleep(0)
        running.close()
        await asyncio.gather(*talks)


async def _one(http: PlainHttp, *, fresh: bool = False) -> tuple[int, bytes]:
    connection = await http.take(fresh=fresh)
    try:
        status = await connection.ask(http.request(b"/v1/x", b"{}"))
        return status, await connection.read()
    finally:
        http.give_back(connection)


async def test_a_request_as_it_goes_out_and_a_connection_that_is_kept(tmp_path: Path) -> None:
    async with server(tmp_path, lambda _, w: w.write(OK + b"Content-Length: 2\r\n\r\nhi")) as (
        http,
        asked,
    ):
        assert await _one(http) == (200, b"hi")
        connection = await http.take(fresh=False)
        assert connection.idle_since > 0  # the one from before
        http.give_back(connection)
    assert asked == [
        b"POST /v1/x HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer sesame\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    ]


async def test_pieces_come_as_they_arrive(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await go_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with server(tmp_path, answer) as (http, _):
        connection = await http.take(fresh=True)
        assert await connection.ask(http.request(b"/", b"")) == 200
        assert await connection.pieces() == b"one"
        go_on.set()
        assert await connection.read() == b"two"
        assert connection.reusable
        http.give_back(connection)


async def test_a_body_that_ends_with_the_connection(tmp_path: Path) -> None:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Connection: close\r\n\r\nall of it")
        writer.close()

    async with server(tmp_path, answer) as (http, _):
        assert await _one(http) == (200, b"all of it")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        b"garbage that is no HTTP\r\n\r\n",
        OK + b"Content-Length: 10\r\n\r\nhalf",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
async def test_an_answer_that_breaks_off(tmp_path: Path, said: bytes) -> None:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async with server(tmp_path, answer) as (http, _):
        with pytest.raises(EngineGoneError):
            await _one(http)


async def test_nobody_listens(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    http = PlainHttp(lambda make: loop.create_unix_connection(make, str(tmp_path / "none")), "", 1)
    with pytest.raises(OSError, match="No such file"):
        await _one(http)


async def test_closing_ends_who_waits(tmp_path: Path) -> None:
    arrived = asyncio.Event()
    async with server(tmp_path, lambda *_: arrived.set()) as (http, _):
        waiting = asyncio.create_task(_one(http))
        await arrived.wait()
        http.close()
        with pytest.raises(EngineGoneError):
            await waiting


async def test_a_reader_that_waits_holds_the_server_up(tmp_path: Path) -> None:
    """What is not read stays with the server: memory does not grow with it."""
    size = 64 * 1024 * 1024

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + f"Content-Length: {size}\r\n\r\n".encode())
        for _piece in range(64):
            writer.write(bytes(size // 64))
            await writer.drain()
            sent.append(size // 64)

    sent: list[int] = []
    async with server(tmp_path, answer) as (http, _):
        connection = await http.take(fresh=True)
        assert await connection.ask(http.request(b"/", b"")) == 200
        for _ in range(50):
            await asyncio.sleep(0.01)
        assert sum(sent) < 8 * 1024 * 1024
        assert len(await connection.read()) == size
        http.give_back(connection)


async def test_an_old_connection_is_not_used_again(tmp_path: Path) -> None:
    async with server(tmp_path, lambda _, w: w.write(OK + b"Content-Length: 0\r\n\r\n")) as (
        http,
        _,
    ):
        await _one(http)
        (kept,) = http._idle
        kept.idle_since -= 100.0
        another = await http.take(fresh=False)
        assert another is not kept
        http.give_back(another)
