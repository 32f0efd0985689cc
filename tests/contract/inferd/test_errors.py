"""Everything that is refused: the right code, OpenAI's envelope, and the daemon unharmed."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text, until

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
WRONG = "invalid_value"
USER = {"role": "user", "content": "hi"}

REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("no messages", CHAT, {}, 400, "missing_field"),
    ("no prompt", TEXT, {}, 400, "missing_field"),
    ("messages is a text", CHAT, {"messages": "hi"}, 400, WRONG),
    ("messages is empty", CHAT, {"messages": []}, 400, WRONG),
    ("message is a text", CHAT, {"messages": ["hi"]}, 400, WRONG),
    ("no role", CHAT, {"messages": [{"content": "hi"}]}, 400, WRONG),
    ("content is a number", CHAT, {"messages": [{"role": "user", "content": 1}]}, 400, WRONG),
    ("no content", CHAT, {"messages": [{"role": "user"}]}, 400, WRONG),
    ("a file as picture", CHAT, {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]}, 400, WRONG),
    ("prompt is a number", TEXT, {"prompt": 3}, 400, WRONG),
    ("prompt is mixed", TEXT, {"prompt": ["a", 1]}, 400, WRONG),
    ("prompt nests", TEXT, {"prompt": [[["a"]]]}, 400, WRONG),
    ("too many prompts", TEXT, {"prompt": ["a"] * 1000}, 400, WRONG),
    ("negative token", TEXT, {"prompt": [-1]}, 400, WRONG),
    ("another model", CHAT, {"model": "gpt-4", "messages": [USER]}, 404, "model_not_found"),
    ("model is a list", CHAT, {"model": ["tiny"], "messages": [USER]}, 400, WRONG),
    ("max_tokens 0", TEXT, {"prompt": "a", "max_tokens": 0}, 400, WRONG),
    ("max_tokens text", TEXT, {"prompt": "a", "max_tokens": "9"}, 400, WRONG),
    ("max_tokens true", TEXT, {"prompt": "a", "max_tokens": True}, 400, WRONG),
    ("temperature text", TEXT, {"prompt": "a", "temperature": "hot"}, 400, WRONG),
    ("temperature -1", TEXT, {"prompt": "a", "temperature": -1}, 400, WRONG),
    ("n 100000", TEXT, {"prompt": "a", "n": 100000}, 400, WRONG),
    ("stop is numbers", TEXT, {"prompt": "a", "stop": [1]}, 400, WRONG),
    ("stop is long", TEXT, {"prompt": "a", "stop": ["x"] * 1000}, 400, WRONG),
    ("stream is text", TEXT, {"prompt": "a", "stream": "yes"}, 400, WRONG),
    ("stream_options is a list", TEXT, {"prompt": "a", "stream_options": [1]}, 400, WRONG),
    ("seed is huge", TEXT, {"prompt": "a", "seed": 10**18 * 100}, 400, WRONG),
    ("tools is text", CHAT, {"messages": [USER], "tools": "all"}, 400, WRONG),
    ("schema is wrong", CHAT, {"messages": [USER], "max_tokens": 4, "response_format": {
        "type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}}},
        400, "engine_refused"),
]  # fmt: skip

NOT_JSON: list[tuple[str, bytes]] = [
    ("empty", b""),
    ("blank", b"  \n"),
    ("cut", b'{"prompt": "a'),
    ("NaN", b'{"prompt": "a", "temperature": NaN}'),
    ("infinity", b'{"prompt": "a", "temperature": 1e999}'),
    ("not UTF-8", b'{"prompt": "\xff\xfe"}'),
    ("half a surrogate", b'{"prompt": "\\ud800"}'),
    ("a list", b"[1]"),
    ("a text", b'"hi"'),
    ("null", b"null"),
    ("deep", b'{"prompt": ' + b"[" * 30000 + b"]" * 30000 + b"}"),
    ("trailing", b'{"prompt": "a"} {}'),
    ("a comment", b'{"prompt": "a" /* hi */}'),
    ("NUL", b"\x00" * 100),
]


def _is_error(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert error["message"].strip()
    assert error["code"] == code


@pytest.mark.parametrize(
    ("path", "body", "status", "code"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_refused(client: httpx.Client, path: str, body: Any, status: int, code: str) -> None:
    _is_error(client.post(path, json=body), status, code)
    if path == TEXT or "messages" in body:
        _is_error(client.post(path, json={"stream": True, **body}), status, code)


@pytest.mark.parametrize("body", [b for _, b in NOT_JSON], ids=[n for n, _ in NOT_JSON])
def test_not_json(client: httpx.Client, body: bytes) -> None:
    _is_error(client.post(TEXT, content=body), 400, "invalid_json")


def test_paths_and_methods(client: httpx.Client) -> None:
    _is_error(client.get("/nothing"), 404, "not_found")
    _is_error(client.get("/v1/chat/completions/"), 404, "not_found")
    _is_error(client.get("/admin/status"), 404, "not_found")
    _is_error(client.get(TEXT), 405, "method_not_allowed")
    _is_error(client.request("DELETE", "/v1/models"), 405, "method_not_allowed")
    _is_error(client.get("/v1/models/../../admin/status"), 404, "not_found")


def test_too_large(client: httpx.Client) -> None:
    big = b'{"prompt": "' + b"a" * 70000 + b'"}'
    _is_error(client.post(TEXT, content=big), 413, "body_too_large")
    chunked = client.post(TEXT, content=iter([big[:40000], big[40000:]]))
    _is_error(chunked, 413, "body_too_large")
    assert client.get("/health").status_code == 200


def test_context_is_too_small(client: httpx.Client) -> None:
    answer = client.post(TEXT, json={"prompt": "abc " * 3000, "max_tokens": 1})
    _is_error(answer, 400, "context_length_exceeded")
    error = answer.json()["error"]
    assert error["n_prompt_tokens"] > error["n_ctx"] == 2048


def test_the_official_client_sees_its_own_exceptions(shared: Running) -> None:
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="x", max_retries=0) as api:
        with pytest.raises(openai.NotFoundError) as missing:
            api.completions.create(model="other", prompt="a")
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError):
            api.completions.create(model="tiny", prompt="a", temperature=-3)


def _raw(running: Running, data: bytes) -> bytes:
    address = urlsplit(running.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
        sock.sendall(data)
        found = b""
        while piece := sock.recv(65536):
            found += piece
        return found


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET /health HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["TLS", "version", "two lengths", "no colon", "bad chunk"],
)
def test_not_http(shared: Running, data: bytes) -> None:
    answer = _raw(shared, data)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "invalid_http"


def test_headers_have_an_end(shared: Running) -> None:
    head = b"GET /health HTTP/1.1\r\nHost: x\r\n"
    bomb = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(100))
    try:
        answer = _raw(shared, head + bomb * 10)
    except ConnectionError:
        answer = b""  # the reset that follows the answer can be faster than the answer
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
    with httpx.Client(base_url=shared.url) as client:
        assert client.get("/health").status_code == 200


def test_full_queue_and_late_answers(room: Path, slow_model: Path) -> None:
    limits = "running = 1\nqueue = 1\nfirst_token_timeout_s = 1\ntotal_timeout_s = 4"
    text = settings_text(slow_model, engine="slots = 1", limits=limits)
    long = {"prompt": "hi", "max_tokens": 8000, "ignore_eos": True}
    with daemon(room, text) as running:
        running.until_ready()
        found: dict[str, httpx.Response] = {}

        def ask(name: str, body: dict[str, Any]) -> threading.Thread:
            def go() -> None:
                found[name] = httpx.post(running.url + TEXT, json=body, timeout=60)

            thread = threading.Thread(target=go)
            thread.start()
            return thread

        first = ask("first", long)
        until(lambda: _metric(running, "inferd_requests_running") == 1, "the first runs")
        second = ask("second", long)
        until(lambda: _metric(running, "inferd_requests_waiting") == 1, "the second waits")
        full = httpx.post(running.url + TEXT, json=long)
        _is_error(full, 503, "queue_full")
        assert 1 <= int(full.headers["retry-after"]) <= 60
        assert httpx.get(running.url + "/ready").json()["reason"] == "queue_full"
        second.join()
        _is_error(found["second"], 504, "first_token_timeout")
        first.join()
        _is_error(found["first"], 504, "total_timeout")

        stream = httpx.post(running.url + TEXT, json={**long, "stream": True}, timeout=60)
        assert stream.status_code == 200
        last = stream.text.strip().splitlines()[-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "total_timeout"
        assert _metric(running, 'inferd_rejected_total{reason="queue"}') == 1
        assert _metric(running, 'inferd_rejected_total{reason="timeout"}') == 3
        assert _metric(running, "inferd_requests_running") == 0
        assert running.status()["failed"] == 4
        assert running.stop() == 0


def _metric(running: Running, series: str) -> float:
    for line in httpx.get(running.url + "/metrics").text.splitlines():
        if line.startswith(series + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0
