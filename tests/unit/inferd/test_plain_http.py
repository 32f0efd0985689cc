"""The HTTP that engines on this machine are spoken to with, against real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.engine.plain_http import Connection, PlainHttp
from aiconsole.onhost.inferd.engine.transport import BrokeOffError, NotReachedError

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
        await http.close()
        for _ in range(5):  # a connection that was only just made is accepted, and then closed
            await asyncio.sleep(0)
        running.close()
        await asyncio.gather(*talks)


async def _asked(http: PlainHttp, *, stream: bool = False) -> Connection:
    return await http.ask("POST", "http://engine/v1/x", b"{}", stream=stream)


async def _rest(answer: Connection) -> bytes:
    found = []
    while piece := await answer.pieces():
        found.append(piece)
    return b"".join(found)


async def _one(http: PlainHttp, *, stream: bool = False) -> tuple[int, bytes]:
    answer = await _asked(http, stream=stream)
    try:
        return answer.status, await _rest(answer)
    finally:
        answer.close()


async def test_a_request_as_it_goes_out_and_a_connection_that_is_kept(tmp_path: Path) -> None:
    async with server(tmp_path, lambda _, w: w.write(OK + b"Content-Length: 2\r\n\r\nhi")) as (
        http,
        asked,
    ):
        assert await _one(http) == (200, b"hi")
        (kept,) = http._idle
        assert (await _asked(http)) is kept
    assert asked[0] == (
        b"POST /v1/x HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer sesame\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )


async def test_pieces_come_as_they_arrive(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await go_on.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with server(tmp_path, answer) as (http, _):
        answer_ = await _asked(http)
        assert answer_.status == 200
        assert await answer_.pieces() == b"one"
        half = answer_.reusable
        go_on.set()
        assert await _rest(answer_) == b"two"
        assert (half, answer_.reusable) == (False, True)
        answer_.close()


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
        with pytest.raises(BrokeOffError):
            await _one(http)


async def test_nobody_listens(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    http = PlainHttp(lambda make: loop.create_unix_connection(make, str(tmp_path / "none")), "", 1)
    with pytest.raises(NotReachedError, match="No such file"):
        await _one(http)


async def test_closing_ends_who_waits(tmp_path: Path) -> None:
    arrived = asyncio.Event()
    async with server(tmp_path, lambda *_: arrived.set()) as (http, _):
        waiting = asyncio.create_task(_one(http))
        await arrived.wait()
        await http.close()
        with pytest.raises(BrokeOffError):
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
        given = await _asked(http)
        for _ in range(50):
            await asyncio.sleep(0.01)
        assert sum(sent) < 8 * 1024 * 1024
        assert len(await _rest(given)) == size
        given.close()


async def test_an_old_connection_is_not_used_again(tmp_path: Path) -> None:
    async with server(tmp_path, lambda _, w: w.write(OK + b"Content-Length: 0\r\n\r\n")) as (
        http,
        _,
    ):
        await _one(http)
        (kept,) = http._idle
        kept.idle_since -= 100.0
        another = await _asked(http)
        assert another is not kept
        another.close()


async def test_a_request_on_a_connection_that_was_just_closed_is_sent_again(
    tmp_path: Path,
) -> None:
    def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 2\r\n\r\nhi")
        if len(asked) == 1:  # without saying so
            writer.close()

    async with server(tmp_path, answer) as (http, asked):
        connection = await _asked(http)
        await _rest(connection)
        http._open.discard(connection)
        http._idle.append(connection)  # as it is before the end is heard of
        connection.idle_since = asyncio.get_running_loop().time()
        assert await _one(http) == (200, b"hi")
        assert len(asked) == 2


async def test_a_server_that_closes_after_streams_gets_each_on_its_own(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    reply = OK + b"Content-Length: 0\r\n\r\n"
    async with server(tmp_path, lambda _, w: w.write(reply)) as (_, asked):
        path = str(tmp_path / "s")
        http = PlainHttp(
            lambda make: loop.create_unix_connection(make, path), "", 2, closes_streams=True
        )
        await _one(http)
        (kept,) = http._idle
        stream = await _asked(http, stream=True)
        assert stream is not kept
        assert http._idle == [kept]
        await http.close()
        assert len(asked) == 2


async def test_pieces_that_come_fast_are_taken_together(tmp_path: Path) -> None:
    """The first one at once, and the last ones as soon as the answer is whole."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n0\r\n")
        await first.wait()
        for number in range(1, 5):
            writer.write(b"1\r\n%d\r\n" % number)
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")

    first = asyncio.Event()
    async with server(tmp_path, answer) as (http, _):
        given = await _asked(http, stream=True)
        assert await given.pieces() == b"0"
        first.set()
        assert await given.pieces() == b"1234"
        assert await given.pieces() == b""
        assert given.reusable
        given.close()
