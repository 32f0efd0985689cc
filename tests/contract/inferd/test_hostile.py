"""Clients that mean harm, or know no better: each gets its answer, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import subprocess
import sys
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
    body = {**LONG, "stream": True, "logprobs": 20, "n": 4}
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(_at(hasty))
        sock.sendall(_request(body, head=b"X-Request-Id: stopped\r\n"))
        until(lambda: _metric(hasty, "inferd_requests_running") == 1, "it runs")
        _served(hasty)
        until(lambda: _metric(hasty, "inferd_requests_running") == 0, "it is cut", 30)
    until(lambda: any(line["id"] == "stopped" for line in hasty.audit), "its line")
    (line,) = [line for line in hasty.audit if line["id"] == "stopped"]
    assert (line["reason"], line["completion_tokens"] < 8000) == ("client_gone", True)
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


def test_a_body_that_drips(hasty: Running) -> None:
    """Byte by byte, each in a chunk of its own."""
    head = b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = _dripped(hasty, head, b"1\r\na\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_who_floods_without_end_has_no_more_time(hasty: Running) -> None:
    """There is always something of it that we have not read yet; it ends all the same."""
    head = b"POST /v1/completions HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n"
    answer = _dripped(hasty, head, b"a" * 64, pause_s=0.0005)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


def _dripped(running: Running, head: bytes, drop: bytes, pause_s: float = 0.05) -> bytes:
    stop = threading.Event()
    with socket.create_connection(_at(running)) as sock:

        def drip() -> None:
            with contextlib.suppress(OSError):
                sock.sendall(head)
                while not stop.wait(pause_s):
                    sock.sendall(drop)

        dripping = threading.Thread(target=drip)
        dripping.start()
        answer = _all(sock)
        stop.set()
        dripping.join()
    return answer


@pytest.mark.slow
def test_ten_thousand_idle_connections(tiny_model: Path) -> None:
    """Of a process of their own, half of them with half a head; one client is served among them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, hard - 500)
    if count < 2000:
        pytest.skip(f"this machine allows {hard} files")
    text = settings_text(tiny_model, limits="read_timeout_s = 120")
    raised = (hard, hard)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, raised)  # inherited by both
    try:
        with (
            tempfile.TemporaryDirectory(prefix="inferd-test-") as name,
            daemon(Path(name), text) as running,
        ):
            running.until_ready()
            host, port = _at(running)
            argv = [sys.executable, "-c", _IDLE, host, str(port), str(count)]
            with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as idle:
                assert idle.stdout is not None
                assert idle.stdout.readline() == b"connected\n"
                until(lambda: _files(running.process.pid) > count, "all are accepted")
                for _ in range(20):
                    _served(running)
                _, rest = idle.communicate(b"\n", timeout=60)
                assert idle.returncode == 0, rest
            until(lambda: _files(running.process.pid) < 500, "they are gone")
            _served(running)
            assert running.status()["failed"] == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("part", [b"", b"GET /health HTTP/1.1\r\n\r\n"], ids=["silent", "idle"])
def test_more_connections_than_files(tiny_model: Path, part: bytes) -> None:
    """Who does nothing makes room, so that whoever asks is served at every moment."""
    with _few_files(tiny_model, read_timeout_s=120) as running, contextlib.ExitStack() as stack:
        waiting = []
        with httpx.Client(base_url=running.url, timeout=20) as client:
            for number in range(400):
                sock = stack.enter_context(socket.create_connection(_at(running), timeout=20))
                if part:
                    sock.sendall(part)
                    assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
                waiting.append(sock)
                if number % 40 == 0:
                    _served(running)
                    assert client.post(TEXT, json=SHORT).status_code == 200
        assert _files(running.process.pid) < 300
        assert _all(waiting[0]) == b"", "the first one went"
        waiting[-1].sendall(b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert _all(waiting[-1]).startswith(b"HTTP/1.1 200 "), "the last one is welcome"


def test_more_halves_of_requests_than_files(tiny_model: Path) -> None:
    """Those who come then hear why they cannot be served, and are served when time is up."""
    with _few_files(tiny_model, read_timeout_s=3) as running, contextlib.ExitStack() as stack:
        with httpx.Client(base_url=running.url, timeout=20) as client:
            assert client.post(TEXT, json=SHORT).status_code == 200
        slow, codes = [], set()
        for _ in range(250):
            sock = stack.enter_context(socket.create_connection(_at(running), timeout=20))
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"POST /v1/completions HTTP/1.1\r\n")
            slow.append(sock)
        for sock in slow:
            answer = _all(sock)
            codes.add(answer[9:12])
            if answer[9:12] == b"503":
                assert b"too_many_connections" in answer
                assert b"retry-after: 1" in answer
        assert {b"408", b"503"} <= codes <= {b"408", b"503", b""}
        _served(running)
        assert running.status()["failed"] == 0


@contextlib.contextmanager
def _few_files(model: Path, *, read_timeout_s: int) -> Iterator[Running]:
    """A daemon that may have 300 files open."""
    text = settings_text(model, limits=f"read_timeout_s = {read_timeout_s}")
    with (
        tempfile.TemporaryDirectory(prefix="inferd-test-") as name,
        daemon(Path(name), text) as running,
    ):
        # Long before it has come so far as to listen; it would raise a soft limit by itself.
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (300, 300))
        yield running.until_ready()


_IDLE = """
import socket, sys
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
idle = []
for number in range(count):
    sock = socket.socket()
    sock.bind((f"127.0.0.{2 + number // 5000}", 0))
    sock.connect((host, port))
    if number % 2:
        sock.sendall(b"GET /health HTTP/1.1\\r\\n")
    idle.append(sock)
print("connected", flush=True)
sys.stdin.readline()
"""


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


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


@pytest.mark.parametrize(
    "body",
    [b'{"prompt": "hi", "max_tokens": 100000, "max_tokens": 3}', b'{"model":"tiny","model":"x"}',
     b'{"prompt": "hi", "n": 1, "n": 1000}', b'{"model": "tiny", "mod\\u0065l": "other"}'],
)  # fmt: skip
def test_a_key_that_comes_twice(client: httpx.Client, body: bytes) -> None:
    answer = client.post(TEXT, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "duplicate_key")


def test_a_key_that_comes_twice_elsewhere_is_nobodys_affair(client: httpx.Client) -> None:
    body = b'{"prompt": "say \\"prompt\\": 1", "max_tokens": 1, "user": "model", "model": "tiny"}'
    assert client.post(TEXT, content=body).status_code == 200


ODD_BODIES: list[tuple[str, Any]] = [
    ("NUL in the prompt", {"prompt": "a\x00b", "max_tokens": 1}),
    ("NUL in a stop", {"prompt": "a", "stop": "\x00", "max_tokens": 1}),
    ("no such token", {"prompt": [2**31 - 1], "max_tokens": 1}),
    ("a token just beyond", {"prompt": [999_999], "max_tokens": 1}),
    ("outside of the plane", {"prompt": "\U0001f4a9\u202e\ufeff\uffff", "max_tokens": 1}),
    ("tiny temperature", {"prompt": "a", "temperature": 1e-300, "max_tokens": 1}),
    ("bias on no token", {"prompt": "a", "logit_bias": {"999999999": 1}, "max_tokens": 1}),
    ("bias of nonsense", {"prompt": "a", "logit_bias": [[[]], {"a": None}], "max_tokens": 1}),
    ("empty prompt", {"prompt": "", "max_tokens": 1}),
    ("empty stop", {"prompt": "a", "stop": "", "max_tokens": 1}),
    ("2^70", {"prompt": "a", "max_tokens": 2**70}),
]


@pytest.mark.parametrize("body", [b for _, b in ODD_BODIES], ids=[n for n, _ in ODD_BODIES])
def test_odd_bodies(shared: Running, client: httpx.Client, body: Any) -> None:
    """What is allowed is served, what is not is refused, and the engine lives through both."""
    pid = shared.engine_pid()
    assert client.post(TEXT, json=body).status_code in (200, 400)
    assert client.post(TEXT, json=SHORT).status_code == 200
    assert shared.engine_pid() == pid


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


_POST = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
BOMBS: list[tuple[str, bytes]] = [
    ("many headers", b"GET /health HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % i for i in range(300))),
    ("one huge header", b"GET /health HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n"),
    ("a header without end", b"GET /health HTTP/1.1\r\nX: " + b"a" * 1_000_000),
    ("a huge name", b"GET /health HTTP/1.1\r\n" + b"a" * 100_000 + b": b\r\n"),
    ("a huge address", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n"),
    ("an address without end", b"GET /" + b"a" * 1_000_000),
    ("a chunk's extension", _POST + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"a" * 1_000_000),
    ("many extensions", _POST + b"Transfer-Encoding: chunked\r\n\r\n"
     + (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 1000),
    ("trailers", _POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
     + b"".join(b"a%d: %s\r\n" % (i, b"b" * 100) for i in range(10_000))),
    ("a huge trailer", _POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 1_000_000),
]  # fmt: skip


@pytest.mark.parametrize("data", [d for _, d in BOMBS], ids=[n for n, _ in BOMBS])
def test_bombs(shared: Running, data: bytes) -> None:
    """Too much around too little is cut off before it is whole."""
    with socket.create_connection(_at(shared)) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(data + b"\r\n")
        answer = _all(sock)
    # The reset that follows the answer can be faster than the answer.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 "), answer[:200]
    _served(shared)


_INNER = b"GET /admin/status HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED: list[tuple[str, bytes]] = [
    ("length and chunks", b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunks and length", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
    ("lengths in a list", b"Content-Length: 2, 2\r\n\r\n{}"),
    ("a signed length", b"Content-Length: +2\r\n\r\n{}"),
    ("a hexadecimal length", b"Content-Length: 0x2\r\n\r\n{}"),
    ("a length of 2^64", b"Content-Length: 18446744073709551618\r\n\r\n{}"),
    ("an unknown coding", b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked is not the last", b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("a blank before the colon", b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("a bare CR", b"X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a NUL", b"X: a\x00b\r\nContent-Length: 2\r\n\r\n{}"),
    ("a short chunk", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n"),
    ("a signed chunk", b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n"),
    ("a chunk of 2^64", b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n"),
    ("LF alone after a chunk", b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n"),
]


@pytest.mark.parametrize("part", [p for _, p in SMUGGLED], ids=[n for n, _ in SMUGGLED])
def test_what_two_servers_could_read_in_two_ways(shared: Running, part: bytes) -> None:
    """One refusal, and what is hidden behind it is no request."""
    answer = _say(shared, _POST + part + _INNER)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()


def test_pipelined(shared: Running) -> None:
    """All are answered, in their order."""
    last = _request(SHORT, head=b"Connection: close\r\n")
    get = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = _say(shared, get % b"/health" + _request(SHORT) + get % b"/nothing" + last)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404", b"200"]


def test_who_pipelines_without_end_is_cut_off(shared: Running) -> None:
    with socket.create_connection(_at(shared)) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(_request(LONG) + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
        assert _all(sock).count(b"HTTP/1.1 ") <= 1
    until(lambda: _metric(shared, "inferd_requests_running") == 0, "its work is ended")
    _served(shared)


def test_garbage_behind_a_request_does_not_get_into_its_answer(shared: Running) -> None:
    """A refusal in the middle of an answer would pass for a part of it."""
    with socket.create_connection(_at(shared)) as sock:
        sock.sendall(_request({**LONG, "stream": True}))
        begun = sock.recv(65536)
        sock.sendall(b"\x00\x01 garbage\r\n\r\n")
        answer = begun + _all(sock)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"invalid_http" not in answer
    until(lambda: _metric(shared, "inferd_requests_running") == 0, "its work is ended")


def test_expectations(shared: Running) -> None:
    """`100-continue` comes where the body is wanted, and a refusal where it is not."""
    body = json.dumps(SHORT).encode()
    head = b"Content-Type: application/json\r\nExpect: 100-continue\r\nConnection: close\r\n"
    with socket.create_connection(_at(shared), timeout=30) as sock:
        sock.sendall(_POST + head + b"Content-Length: %d\r\n\r\n" % len(body))
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert _all(sock).startswith(b"HTTP/1.1 200 ")
    for wrong, code in ((b"Content-Length: 999999", b"413"), (b"Content-Type: text/plain", b"415")):
        with socket.create_connection(_at(shared), timeout=30) as sock:
            sock.sendall(_POST + wrong + b"\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
            assert sock.recv(65536).split(b" ", 2)[1] == code


def test_old_clients(shared: Running) -> None:
    """HTTP/1.0 knows no chunks and no second request."""
    body = json.dumps(SHORT).encode()
    old = b"POST /v1/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    answer = _say(shared, old)
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0]
    assert b"transfer-encoding" not in head.lower()
    assert json.loads(rest)["usage"]["completion_tokens"] == 2


def test_nobody_else_notices(shared: Running) -> None:
    """All of it at once, over and over, and a client that behaves is served every time."""
    corpus = [d for _, d in BOMBS] + [_POST + p + _INNER for _, p in SMUGGLED]
    corpus += [d for _, d, _ in REQUESTS] + [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
    stop = threading.Event()

    def harass(turn: int) -> None:
        for data in corpus[turn:] + corpus[:turn]:
            if stop.is_set():
                return
            with (
                socket.create_connection(_at(shared), timeout=2) as sock,
                contextlib.suppress(OSError),
            ):
                sock.sendall(data)
                sock.recv(100) if turn % 2 else sock.shutdown(socket.SHUT_WR)

    attackers = [threading.Thread(target=harass, args=(turn,)) for turn in range(0, 24, 3)]
    for attacker in attackers:
        attacker.start()
    with httpx.Client(base_url=shared.url, timeout=60) as client:
        codes = [client.post(TEXT, json=SHORT).status_code for _ in range(100)]
    stop.set()
    for attacker in attackers:
        attacker.join()
    assert codes == [200] * 100
    until(lambda: shared.status()["in_flight"] == 0, "none in flight")
    assert shared.status()["engine_restarts"] == 0


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
