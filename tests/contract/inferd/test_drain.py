"""The end of a slot: nobody who was let in is broken off, nobody who comes later is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest

from tests.contract.inferd.running import Running, bound, daemon, settings_text, until
from tests.fixtures.certificate import write_pair

TEXT = "/v1/completions"
SHORT = {"prompt": "hi", "max_tokens": 8}
LONG = {"prompt": "hi", "max_tokens": 8000, "ignore_eos": True}


class Load:
    """Clients that ask without pause: half keep their connection, half stream."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.good = 0
        self.bad: list[str] = []
        self._over = False

    async def run(self, clients: int) -> None:
        async with asyncio.TaskGroup() as group:
            for index in range(clients):
                group.create_task(self._client(index % 2 == 0, index % 4 < 2))

    def end(self) -> None:
        self._over = True

    async def _client(self, keep: bool, stream: bool) -> None:
        # Any certificate does: who is who is not what is tested here.
        connector = aiohttp.TCPConnector(force_close=not keep, ssl=False)
        async with aiohttp.ClientSession(connector=connector) as session:
            while not self._over:
                try:
                    await self._one(session, stream)
                except (aiohttp.ClientError, OSError) as error:
                    self.bad.append(repr(error))

    async def _one(self, session: aiohttp.ClientSession, stream: bool) -> None:
        body = {**SHORT, "stream": stream}
        async with session.post(self._url + TEXT, json=body) as answer:
            text = await answer.read()
        whole = text.endswith(b"data: [DONE]\n\n") if stream else b'"usage"' in text
        if answer.status == 200 and whole:
            self.good += 1
        else:
            self.bad.append(f"{answer.status} {text[-100:]!r}")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_swaps_under_load_lose_no_request(room: Path, tiny_model: Path, scheme: str) -> None:
    asyncio.run(_swaps(room, tiny_model, scheme))


async def _swaps(room: Path, tiny_model: Path, scheme: str) -> None:
    with bound() as sock:
        text = settings_text(tiny_model, limits="queue = 1000\nidle_grace_s = 0.5")
        if scheme == "https":
            pair = write_pair(room / "tls")
            text += f'[tls]\ncertificate_file = "{pair.certificate}"\nkey_file = "{pair.key}"\n'
        address = f"{scheme}://127.0.0.1:{sock.getsockname()[1]}"
        load = Load(address)
        task: asyncio.Task[None] | None = None
        old: Running | None = None
        served = 0
        stack = contextlib.ExitStack()
        for turn in range(4):
            part = _mkdir(room / str(turn))
            new = stack.enter_context(daemon(part, text, slot="ab"[turn % 2], sock=sock))
            await asyncio.to_thread(new.until_ready)
            if task is None:
                task = asyncio.create_task(load.run(24))
            await _more(load)
            if old is not None:
                assert await asyncio.to_thread(old.stop) == 0
                assert old.tally["failed"] == 0
                served += old.tally["served"]
            old = new
        await _more(load)
        load.end()
        assert task is not None
        await task
        assert old is not None
        assert await asyncio.to_thread(old.stop) == 0
        assert load.bad == []
        assert served + old.tally["served"] == load.good
        stack.close()


def _mkdir(path: Path) -> Path:
    path.mkdir()
    return path


async def _more(load: Load) -> None:
    before = load.good
    await asyncio.to_thread(until, lambda: load.good > before + 100, "a hundred answers")


def test_answers_under_way_come_to_their_end(room: Path, slow_model: Path) -> None:
    with daemon(room, settings_text(slow_model)) as running:
        running.until_ready()
        body = {**LONG, "max_tokens": 600}
        whole: list[httpx.Response] = []

        def ask() -> None:
            whole.append(httpx.post(running.url + TEXT, json=body, timeout=60))

        thread = threading.Thread(target=ask)
        with httpx.stream(
            "POST", running.url + TEXT, json={**body, "stream": True}, timeout=60
        ) as s:
            lines = s.iter_lines()
            next(lines)
            thread.start()
            until(lambda: running.status()["in_flight"] == 2, "two in flight")
            running.process.send_signal(signal.SIGTERM)
            until(lambda: running.status()["state"] == "draining", "draining")
            assert [line for line in lines if line][-1] == "data: [DONE]"
        thread.join()
        assert whole[0].json()["usage"]["completion_tokens"] == 600
        assert whole[0].headers["connection"] == "close"
        assert running.wait() == 0
        assert (running.tally["served"], running.tally["failed"]) == (2, 0)
        assert running.tally["in_flight"] == 0


def _request(body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
        TEXT.encode(), len(data), data,
    )  # fmt: skip


def _answer(sock: socket.socket) -> bytes:
    """One answer with a length."""
    found = b""
    while b"\r\n\r\n" not in found:
        piece = sock.recv(65536)
        assert piece, "closed"
        found += piece
    head, _, rest = found.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(rest) < length:
        rest += sock.recv(65536)
    return head


def test_idle_connections_are_served_once_more_and_told_to_move(
    room: Path, tiny_model: Path
) -> None:
    with daemon(room, settings_text(tiny_model, limits="idle_grace_s = 30")) as running:
        running.until_ready()
        address = urlsplit(running.url)
        at = (address.hostname, address.port)
        with socket.create_connection(at) as used, socket.create_connection(at) as fresh:
            used.sendall(_request(SHORT))
            assert b"connection: close" not in _answer(used)
            fresh.sendall(_request(SHORT)[:20])  # half a head: it is in the middle of a request
            until(lambda: running.status()["served"] == 1, "served")
            running.process.send_signal(signal.SIGTERM)
            until(lambda: running.status()["state"] == "draining", "draining")
            used.sendall(_request(SHORT))
            assert b"connection: close" in _answer(used)
            assert used.recv(1) == b""
            fresh.sendall(_request(SHORT)[20:])
            assert b"connection: close" in _answer(fresh)
        assert running.wait() == 0
        assert running.tally["served"] == 3


def test_idle_connections_do_not_hold_up_the_end(room: Path, tiny_model: Path) -> None:
    with daemon(room, settings_text(tiny_model, limits="idle_grace_s = 0.2")) as running:
        running.until_ready()
        address = urlsplit(running.url)
        with socket.create_connection((address.hostname, address.port)) as idle:
            idle.sendall(_request(SHORT))
            _answer(idle)
            assert running.stop() == 0
            assert idle.recv(1) == b""


@pytest.mark.parametrize("stream", [True, False])
def test_the_limit_breaks_off_what_takes_too_long(
    room: Path, slow_model: Path, stream: bool
) -> None:
    with daemon(room, settings_text(slow_model, limits="drain_timeout_s = 1")) as running:
        running.until_ready()
        answer = _asked_while_it_ends(running, stream)
        if stream:
            assert answer.status_code == 200
            last = answer.text.strip().splitlines()[-1].removeprefix("data: ")
            assert json.loads(last)["error"]["code"] == "draining"
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
        assert running.wait() == 0
        assert running.tally["failed"] == 1


def test_a_second_signal_ends_it_now(room: Path, slow_model: Path) -> None:
    with daemon(room, settings_text(slow_model)) as running:
        running.until_ready()
        answer = _asked_while_it_ends(running, stream=True, signals=2)
        assert '"draining"' in answer.text
        assert running.wait() == 0


def _asked_while_it_ends(running: Running, stream: bool, signals: int = 1) -> httpx.Response:
    found: list[httpx.Response] = []

    def ask() -> None:
        body = {**LONG, "stream": stream}
        found.append(httpx.post(running.url + TEXT, json=body, timeout=60))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: "inferd_requests_running 1.0" in _metrics(running), "it runs")
    for turn in range(signals):
        running.process.send_signal(signal.SIGTERM)
        if turn + 1 < signals:
            until(lambda: running.status()["state"] == "draining", "draining")
    thread.join(30)
    assert found, "no answer"
    return found[0]


def _metrics(running: Running) -> str:
    return httpx.get(running.url + "/metrics").text
