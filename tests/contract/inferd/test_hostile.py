"""Clients that mean harm, or know no better: each gets its answer, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text, until

TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
SHORT = {"prompt": "hi", "max_tokens": 2}
LONG = {"prompt": "hi", "max_tokens": 2000, "ignore_eos": True}


def _at(running: Running) -> tuple[str, int]:
    parts = urlsplit(running.url)
    return str(parts.hostname), int(parts.port or 0)


def _request(body: Any, *, head: bytes = b"") -> bytes:
    data = json.dumps(body).encode()
    start = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % TEXT.encode()
    return start + head + b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


def _all(sock: socket.socket, limit_s: float = 30.0) -> bytes:
    """What comes until the server closes; a reset is an end too."""
    sock.settimeout(limit_s)
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            found += piece
    return found


def _say(running: Running, data: bytes) -> bytes:
    """Say it on a connection of its own, and that nothing else comes."""
    with socket.create_connection(_at(running)) as sock:
        sock.sendall(data)
        return _all(sock)


def _served(running: Running) -> None:
    """A client that behaves is answered at once."""
    assert httpx.post(running.url + TEXT, json=SHORT, timeout=10).status_code == 200


def _metric(running: Running, series: str) -> float:
    for line in httpx.get(running.url + "/metrics").text.splitlines():
        if line.startswith(series + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


@pytest.fixture(scope="module")
def hasty(tiny_model: Path) -> Iterator[Running]:
    """A daemon with little patience and two places, and room for a thousand connections."""
    limits = "read_timeout_s = 1.5\nwrite_timeout_s = 1\nrunning = 2\nqueue = 200"
    text = settings_text(tiny_model, limits=limits)
    with (
        tempfile.TemporaryDirectory(prefix="inferd-test-") as name,
        daemon(Path(name), text) as running,
    ):
        yield running.until_ready()


@pytest.mark.parametrize(
    "part",
    [b"POST /v1/comp", _request(SHORT)[:60], _request(SHORT)[:-3],
     b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"],
    ids=["line", "head", "body", "chunk"],
)  # fmt: skip
def test_a_request_that_does_not_come_to_its_end(hasty: Running, part: bytes) -> None:
    answer = _say(hasty, part)
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "read_timeout"


def test_a_head_that_drips(hasty: Running) -> None:
    """Each byte is progress, and none of them buys time."""
    stop = threading.Event()
    with socket.create_connection(_at(hasty)) as sock:

        def drip() -> None:
            with contextlib.suppress(OSError):
                sock.sendall(b"GET /health HTTP/1.1\r\nX-A: ")
                while not stop.wait(0.05):
                    sock.sendall(b"a")

        dripping = threading.Thread(target=drip)
        dripping.start()
        answer = _all(sock)
        stop.set()
        dripping.join()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_a_reader_that_stops_loses_its_place(hasty: Running) -> None:
    body = {**LONG, "stream": True, "logprobs": 20, "n": 2}
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(_at(hasty))
        sock.sendall(_request(body, head=b"X-Request-Id: stopped\r\n"))
        until(lambda: _metric(hasty, "inferd_requests_running") == 1, "it runs")
        _served(hasty)
        until(lambda: _metric(hasty, "inferd_requests_running") == 0, "it is cut", 30)
    until(lambda: any(line["id"] == "stopped" for line in hasty.audit), "its line")
    (line,) = [line for line in hasty.audit if line["id"] == "stopped"]
    assert (line["reason"], line["completion_tokens"] < 4000) == ("client_gone", True)
    assert hasty.status()["engine_restarts"] == 0


@pytest.mark.parametrize("stream", [True, False])
def test_who_closes_half_of_the_connection_has_gone(hasty: Running, stream: bool) -> None:
    """Only this tells that a client left; the work for it ends, and the connection too."""
    before = _metric(hasty, 'inferd_completion_tokens_total{model="tiny"}')
    with socket.create_connection(_at(hasty)) as sock:
        sock.sendall(_request({**LONG, "stream": stream, "n": 2}))
        until(lambda: _metric(hasty, "inferd_requests_running") == 1, "it runs")
        sock.shutdown(socket.SHUT_WR)
        assert b"[DONE]" not in _all(sock)
    until(lambda: _metric(hasty, "inferd_requests_running") == 0, "it ended")
    made = _metric(hasty, 'inferd_completion_tokens_total{model="tiny"}') - before
    assert made < 4000
    _served(hasty)


def test_a_thousand_idle_connections(hasty: Running) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(2000, hard), hard))
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(_at(hasty))) for _ in range(1000)]
        for sock in idle[::2]:
            sock.sendall(b"GET /health HTTP/1.1\r\n")
        for _ in range(5):
            _served(hasty)
        ends = [_all(sock) for sock in idle]
    assert all(end.startswith(b"HTTP/1.1 408 ") for end in ends[::2])
    assert all(end == b"" for end in ends[1::2])
    _served(hasty)


def test_two_thousand_that_leave(hasty: Running) -> None:
    """At once, in the queue, at the first token: no place stays taken."""
    pid, before = hasty.engine_pid(), _metric(hasty, "inferd_requests_running")
    asyncio.run(_leave(hasty, 2000))
    for series in ("inferd_requests_running", "inferd_requests_waiting"):
        until(lambda series=series: _metric(hasty, series) == before == 0, series)
    until(lambda: hasty.status()["in_flight"] == 0, "none in flight")
    with httpx.Client(base_url=hasty.url, timeout=10) as client:
        assert [client.post(TEXT, json=SHORT).status_code for _ in range(8)] == [200] * 8
    assert (hasty.engine_pid(), hasty.status()["engine_restarts"]) == (pid, 0)
    assert hasty.status()["failed"] == 0


async def _leave(running: Running, count: int) -> None:
    at, turns = _at(running), iter(range(count))

    async def client() -> None:
        for turn in turns:
            reader, writer = await asyncio.open_connection(*at)
            writer.write(_request({**LONG, "stream": turn % 2 == 0}))
            if turn % 4 == 0:
                await reader.readuntil(b"data: ")
            elif turn % 4 == 1:
                await writer.drain()
                await asyncio.sleep(0)
            writer.transport.abort() if turn % 3 else writer.close()

    await asyncio.gather(*(client() for _ in range(40)))


@pytest.mark.parametrize(
    ("kind", "status"),
    [("text/plain", 415), ("application/x-www-form-urlencoded", 415),
     ("multipart/form-data; boundary=x", 415), ("nonsense", 415), ("application/json", 200),
     ("Application/JSON; charset=utf-8", 200), ("application/vnd.api+json", 200)],
)  # fmt: skip
def test_content_types(client: httpx.Client, kind: str, status: int) -> None:
    data = json.dumps(SHORT).encode()
    answer = client.post(TEXT, content=data, headers={"content-type": kind})
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["error"]["code"] == "unsupported_media_type"


def test_a_key_that_comes_twice_is_what_was_checked(client: httpx.Client) -> None:
    """The engine gets what passed the checks, never the client's own text."""
    body = b'{"prompt": "hi", "max_tokens": 100000, "max_tokens": 3, "n": 1000, "n": 1}'
    answer = client.post(TEXT, content=body)
    assert answer.json()["usage"]["completion_tokens"] == 3
    worse = client.post(TEXT, content=b'{"prompt": "hi", "n": 1, "n": 1000}')
    assert worse.status_code == 400


PATHS: list[tuple[bytes, bytes]] = [
    (b"/%61dmin/status", b"404"),
    (b"//admin/status", b"404"),
    (b"/v1/../admin/status", b"404"),
    (b"/v1/%2e%2e/admin/status", b"404"),
    (b"/v1/models/..%2f..%2fadmin%2fstatus", b"404"),
    (b"/admin/status%00", b"404"),
    (b"/health%00", b"404"),
    (b"/health;x", b"404"),
    (b"/HEALTH", b"404"),
    (b"/metrics/", b"404"),
    (b"/\xff\xfe", b"400"),
    (b"/%ff%fe", b"404"),
    (b"*", b"404"),
    (b"http://elsewhere/admin/status", b"404"),
    (b"http://elsewhere/health", b"200"),
    (b"/" + b"a" * 5000, b"404"),
    (b"/health?" + b"a" * 5000, b"200"),
]


@pytest.mark.parametrize(("path", "code"), PATHS, ids=[repr(p[:30]) for p, _ in PATHS])
def test_path_tricks(shared: Running, path: bytes, code: bytes) -> None:
    answer = _say(shared, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
    assert answer.split(b" ", 2)[1] == code, answer


REQUESTS: list[tuple[str, bytes, bytes]] = [
    ("bad websocket", b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\n"
     b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n", b"400"),
    ("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    ("connect", b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    ("unknown method", b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
    ("old", b"GET /health HTTP/1.0\r\n\r\n", b"200"),
    ("folded", b"GET /health HTTP/1.1\r\nX: a\r\n b\r\n\r\n", b"400"),
    ("smuggled", b"POST /v1/completions HTTP/1.1\r\nContent-Length: 4\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    ("negative", b"POST /v1/completions HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
    ("huge", b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
    ("id", b"GET /health HTTP/1.1\r\nX-Request-Id: \xff\xfe\r\n\r\n", b"200"),
    ("key", b"GET /health HTTP/1.1\r\nAuthorization: \xff\xfe\r\n\r\n", b"200"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "code"), [(d, c) for _, d, c in REQUESTS], ids=[n for n, _, _ in REQUESTS]
)
def test_odd_requests(shared: Running, data: bytes, code: bytes) -> None:
    with socket.create_connection(_at(shared), timeout=20) as sock:
        sock.sendall(data)
        assert sock.recv(65536).split(b" ", 2)[1] == code


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


SCHEMAS: list[tuple[str, Callable[[], Any]]] = [
    ("refers to itself", lambda: {"$ref": "#"}),
    ("refers to a file", lambda: {"$ref": "file:///etc/passwd"}),
    ("refers to a host", lambda: {"$ref": "http://127.0.0.1:1/x"}),
    ("circle", lambda: {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
                        "$ref": "#/$defs/a"}),
    ("deep", lambda: _nested(100)),
    ("open pattern", lambda: {"type": "string", "pattern": "^(((((a$"}),
    ("huge repeat", lambda: {"type": "string", "pattern": "^(a{1000}){1000}$"}),
    ("many items", lambda: {"type": "array", "items": {"type": "string"}, "minItems": 10**9}),
    ("long", lambda: {"type": "string", "minLength": 10**9}),
    ("wide", lambda: {"enum": [f"v{i}" for i in range(3000)]}),
    ("nonsense", lambda: {"type": ["x", 3], "items": 7, "properties": []}),
]  # fmt: skip


@pytest.mark.parametrize("make", [m for _, m in SCHEMAS], ids=[n for n, _ in SCHEMAS])
def test_schemas(shared: Running, client: httpx.Client, make: Callable[[], Any]) -> None:
    """Whatever the engine makes of it, it lives on and serves the next one."""
    pid = shared.engine_pid()
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": make()}}
    messages = [{"role": "user", "content": "hi"}]
    body = {"messages": messages, "max_tokens": 4, "response_format": form}
    assert client.post(CHAT, json=body).status_code in (200, 400)
    assert client.post(TEXT, json=SHORT).status_code == 200
    assert shared.engine_pid() == pid
