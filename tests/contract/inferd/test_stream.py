"""WebSockets: one connection, many requests, and every way in which either side can leave."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.contract.inferd.running import Running, daemon, settings_text, until

TEXT = {"prompt": "hi", "max_tokens": 8, "temperature": 0, "seed": 1}
CHAT = {
    "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8, "temperature": 0, "seed": 1,
}  # fmt: skip
LONG = {"prompt": "hi", "max_tokens": 8000, "ignore_eos": True}


def _url(running: Running) -> str:
    return running.url.replace("http", "ws", 1) + "/v1/stream"


def _open(running: Running, **options: Any) -> ClientConnection:
    found: ClientConnection = connect(_url(running), open_timeout=30, close_timeout=10, **options)
    return found


@pytest.fixture
def ws(shared: Running) -> Iterator[ClientConnection]:
    with _open(shared) as ws:
        yield ws


def _hear(ws: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ws.recv(timeout=60))
    return found


def _answer(ws: ClientConnection, body: dict[str, Any]) -> list[dict[str, Any]]:
    ws.send(json.dumps(body))
    found = [_hear(ws)]
    while found[-1]["type"] not in ("done", "error"):
        found.append(_hear(ws))
    return found


def _text(messages: list[dict[str, Any]], index: int = 0) -> str:
    deltas = [m for m in messages if m["type"] == "delta" and m["index"] == index]
    return "".join(delta["text"] for delta in deltas)


def _metrics(running: Running) -> str:
    return httpx.get(running.url + "/metrics").text


@pytest.mark.parametrize(("path", "body"), [("completions", TEXT), ("chat/completions", CHAT)])
def test_the_same_answer_as_by_http(
    client: httpx.Client, ws: ClientConnection, path: str, body: dict[str, Any]
) -> None:
    known = client.post(f"/v1/{path}", json=body).json()
    start, *deltas, done = _answer(ws, {"id": "q1", **body})
    assert start["type"] == "start"
    assert start["model"] == "tiny"
    assert len(start["request_id"]) == 32
    assert {delta["type"] for delta in deltas} == {"delta"}
    assert {m["id"] for m in (start, *deltas, done)} == {"q1"}
    choice = known["choices"][0]
    assert _text(deltas) == choice.get("text", choice.get("message", {}).get("content"))
    assert done["finish_reason"] == "length"
    assert done["choices"] == [{"index": 0, "finish_reason": "length"}]
    assert done["usage"] == known["usage"]


def test_one_after_the_other(shared: Running, ws: ClientConnection) -> None:
    ids = []
    for number in range(5):
        messages = _answer(ws, {"id": number, **TEXT})
        assert messages[-1]["type"] == "done", messages[-1]
        assert messages[-1]["id"] == number
        ids.append(messages[0]["request_id"])
    assert len(set(ids)) == 5
    until(lambda: {line["id"] for line in shared.audit} >= set(ids), "their audit lines")
    for line in shared.audit:
        if line["id"] in ids:
            assert (line["route"], line["code"], line["completion_tokens"]) == ("stream", 200, 8)


def test_several_answers_of_one_request(ws: ClientConnection) -> None:
    messages = _answer(ws, {**TEXT, "n": 2})
    assert len(_text(messages, 0)) >= 8
    assert len(_text(messages, 1)) >= 8
    assert [choice["index"] for choice in messages[-1]["choices"]] == [0, 1]
    assert messages[-1]["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ("{", 400, "invalid_json"),
        ("[1]", 400, "invalid_json"),
        ("{}", 400, "missing_field"),
        ('{"type": "dance"}', 400, "invalid_value"),
        ('{"id": [1], "prompt": "a"}', 400, "invalid_value"),
        ('{"prompt": "a", "messages": []}', 400, "invalid_value"),
        ('{"prompt": "a", "temperature": -1}', 400, "invalid_value"),
        ('{"prompt": "a", "model": "other"}', 404, "model_not_found"),
    ],
)
def test_an_error_ends_only_its_request(
    ws: ClientConnection, sent: str, status: int, code: str
) -> None:
    ws.send(sent)
    error = _hear(ws)
    assert (error["type"], error["status"], error["error"]["code"]) == ("error", status, code)
    assert set(error["error"]) >= {"message", "type", "param", "code"}
    assert _answer(ws, TEXT)[-1]["type"] == "done"


def test_binary_messages_are_json_too(ws: ClientConnection) -> None:
    ws.send(json.dumps(TEXT).encode())
    assert _hear(ws)["type"] == "start"


@pytest.mark.parametrize("parts", [1, 7])
def test_a_message_that_is_too_large(shared: Running, ws: ClientConnection, parts: int) -> None:
    def talk() -> None:
        ws.send(["a" * (70000 // parts)] * parts)
        _hear(ws)

    with pytest.raises(ConnectionClosed) as closed:
        talk()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert httpx.get(shared.url + "/health").status_code == 200


def test_it_has_a_request_id_of_its_own(shared: Running) -> None:
    with _open(shared, additional_headers={"x-request-id": "mine-1"}) as ws:
        assert ws.response is not None
        assert ws.response.headers["x-request-id"] == "mine-1"
        assert _answer(ws, TEXT)[0]["request_id"] != "mine-1"


def test_ping_is_answered(ws: ClientConnection) -> None:
    assert ws.ping().wait(30)


def test_cancel_frees_the_slot(room: Path, slow_model: Path) -> None:
    with daemon(
        room, settings_text(slow_model, engine="slots = 1", limits="running = 1")
    ) as running:
        running.until_ready()
        with _open(running) as ws:
            ws.send(json.dumps({"id": "long", **LONG}))
            assert _hear(ws)["type"] == "start"
            ws.send(json.dumps({"type": "cancel", "id": "other"}))  # not of this one
            assert _hear(ws)["type"] == "delta"
            ws.send(json.dumps({"type": "cancel", "id": "long"}))
            message = _hear(ws)
            while message["type"] == "delta":
                message = _hear(ws)
            assert (message["type"], message["finish_reason"]) == ("done", "cancelled")
            assert message["usage"]["completion_tokens"] > 0
            # The whole answer would have taken many seconds of the only slot.
            assert _answer(ws, TEXT)[-1]["finish_reason"] == "length"
        until(lambda: len(running.audit) >= 2, "audit")
        first = running.audit[0]
        assert (first["code"], first["reason"]) == (499, "cancelled")
        assert running.tally_after_stop()["failed"] == 0


def test_one_may_wait_and_a_third_is_told_so(room: Path, slow_model: Path) -> None:
    with daemon(room, settings_text(slow_model)) as running:
        running.until_ready()
        with _open(running) as ws:
            ws.send(json.dumps({"id": 1, **LONG}))
            assert _hear(ws)["type"] == "start"
            ws.send(json.dumps({"id": 2, **TEXT}))
            ws.send(json.dumps({"id": 3, **TEXT}))
            message = _hear(ws)
            while message["type"] == "delta":
                message = _hear(ws)
            assert (message["id"], message["status"]) == (3, 409)
            assert message["error"]["code"] == "busy"
            ws.send('{"type": "cancel"}')
            while message["type"] != "start":
                message = _hear(ws)
            assert message["id"] == 2


def test_a_client_that_leaves_frees_its_slot(room: Path, slow_model: Path) -> None:
    with daemon(room, settings_text(slow_model, engine="slots = 1")) as running:
        running.until_ready()
        for gentle in (True, False):
            with _open(running) as ws:
                ws.send(json.dumps(LONG))
                assert _hear(ws)["type"] == "start"
                assert "inferd_websockets 1.0" in _metrics(running)
                if not gentle:
                    ws.socket.shutdown(socket.SHUT_RDWR)
            until(lambda: "inferd_requests_running 0.0" in _metrics(running), "the slot", 10)
            until(lambda: "inferd_websockets 0.0" in _metrics(running), "the connection", 10)
        assert running.tally_after_stop()["in_flight"] == 0


@pytest.mark.slow
def test_a_client_that_does_not_read_is_cut(room: Path, slow_model: Path) -> None:
    text = settings_text(slow_model, limits="write_timeout_s = 1")
    with daemon(room, text) as running:
        running.until_ready()
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            address = urlsplit(running.url)
            sock.connect((address.hostname, address.port))
            with connect(_url(running), sock=sock, max_queue=1, close_timeout=1) as ws:
                ws.send(json.dumps({**LONG, "n": 4, "logprobs": 20}))
                until(lambda: "inferd_requests_running 1.0" in _metrics(running), "it runs")
                until(lambda: "inferd_websockets 0.0" in _metrics(running), "it is cut")
                until(lambda: "inferd_requests_running 0.0" in _metrics(running), "the slot")


def test_keys(room: Path, tiny_model: Path) -> None:
    keys = room / "keys.json"
    key = "ak-" + "k" * 40

    def write(text: str) -> None:
        entry = {"id": "1", "label": "ana", "sha256": hashlib.sha256(text.encode()).hexdigest(),
                 "created_unix_s": 0}  # fmt: skip
        keys.write_text(json.dumps({"keys": [entry]}))

    write(key)
    auth = f'required = true\nkeys_file = "{keys}"'
    with daemon(room, settings_text(tiny_model, auth=auth)) as running:
        running.until_ready()
        for headers in ({}, {"Authorization": "Bearer ak-wrong"}):
            with pytest.raises(InvalidStatus) as refused:
                _open(running, additional_headers=headers)
            response = refused.value.response
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            error = json.loads(response.body or b"")["error"]
            assert error["code"] in ("missing_api_key", "invalid_api_key")
        with _open(running, additional_headers={"Authorization": f"Bearer {key}"}) as ws:
            assert _answer(ws, TEXT)[-1]["type"] == "done"
            until(lambda: any(line["key"] == "ana" for line in running.audit), "audit")
            write("ak-another")  # the key of the open connection is revoked
            refused_later = _answer(ws, TEXT)
            assert refused_later[-1]["status"] == 401


def test_pages_of_other_origins(room: Path, tiny_model: Path) -> None:
    text = settings_text(tiny_model) + '[cors]\norigins = ["https://chat.example.com"]\n'
    with daemon(room, text) as running:
        running.until_ready()
        with _open(running, origin="https://chat.example.com") as ws:
            assert _answer(ws, TEXT)[-1]["type"] == "done"
        for origin in ("https://evil.example.com", "null"):
            with pytest.raises(InvalidStatus) as refused:
                _open(running, origin=origin)
            assert refused.value.response.status_code == 403


def test_no_origin_is_allowed_by_default(shared: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        _open(shared, origin=shared.url)
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["error"]["code"] == "origin_not_allowed"


def test_another_path(shared: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(shared.url.replace("http", "ws", 1) + "/v1/other")
    assert refused.value.response.status_code == 404
    assert "x-request-id" in refused.value.response.headers


UPGRADE = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/stream HTTP/1.1\r\n" + UPGRADE,
        b"GET /v1/stream HTTP/1.1\r\n" + UPGRADE + b"Sec-WebSocket-Version: 13\r\n",
        b"GET /v1/stream HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 5\r\n",
        b"POST /v1/stream HTTP/1.1\r\n" + UPGRADE + b"Content-Length: 0\r\n",
        b"GET /v1/stream HTTP/1.1\r\n" + UPGRADE + b"X: y\r\n" * 300,
    ],
    ids=["no key", "no key, a version", "a body", "POST", "many headers"],
)
def test_no_handshake(shared: Running, head: bytes) -> None:
    address = urlsplit(shared.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
        sock.sendall(head + b"\r\n")
        found = b""
        while piece := sock.recv(65536):
            found += piece
    assert found.startswith(b"HTTP/1.1 4"), found
    assert b'"invalid_' in found


def test_a_get_without_an_upgrade(client: httpx.Client) -> None:
    answer = client.get("/v1/stream")
    assert (answer.status_code, answer.json()["error"]["code"]) == (426, "upgrade_required")


def test_the_end_waits_for_the_answer_and_not_for_idle_ones(room: Path, slow_model: Path) -> None:
    with daemon(room, settings_text(slow_model)) as running:
        running.until_ready()
        with _open(running) as idle, _open(running) as busy:
            busy.send(json.dumps({**LONG, "max_tokens": 300}))
            assert _hear(busy)["type"] == "start"
            running.process.send_signal(signal.SIGTERM)
            until(lambda: running.status()["state"] == "draining", "draining")
            with pytest.raises(ConnectionClosed) as closed:
                _hear(idle)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            message = _hear(busy)
            while message["type"] == "delta":
                message = _hear(busy)
            assert (message["type"], message["finish_reason"]) == ("done", "length")
            with pytest.raises(ConnectionClosed) as closed:
                _hear(busy)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
        assert running.wait() == 0
        assert running.tally["served"] == 1


def test_the_limit_of_the_end_breaks_off(room: Path, slow_model: Path) -> None:
    with daemon(room, settings_text(slow_model, limits="drain_timeout_s = 1")) as running:
        running.until_ready()
        with _open(running) as ws:
            ws.send(json.dumps(LONG))
            assert _hear(ws)["type"] == "start"
            threading.Timer(0.1, running.process.send_signal, [signal.SIGTERM]).start()
            message = _hear(ws)
            while message["type"] == "delta":
                message = _hear(ws)
            assert (message["type"], message["error"]["code"]) == ("error", "draining")
        assert running.wait() == 0


def test_a_client_that_never_says_goodbye_does_not_hold_up_the_end(
    room: Path, tiny_model: Path
) -> None:
    with daemon(room, settings_text(tiny_model, limits="idle_grace_s = 0.1")) as running:
        running.until_ready()
        address = urlsplit(running.url)
        with socket.create_connection((address.hostname, address.port), timeout=20) as sock:
            sock.sendall(b"GET /v1/stream HTTP/1.1\r\n" + UPGRADE + KEY + b"\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 101 ")
            assert running.stop() == 0
            assert sock.recv(65536)[:4] == b"\x88\x0a\x03\xe9"  # a close frame with 1001
