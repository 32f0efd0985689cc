"""The gate before a WebSocket: the same rules, and a refusal before anything is accepted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.llama import LlamaEngine
from aiconsole.onhost.inferd.gate import Gate
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.settings import AuthSettings, ModelSettings, Settings
from aiconsole.onhost.inferd.tally import Tally

KEYS: dict[str, dict[str, Any]] = {
    "ak-good": {},
    "ak-chat": {"endpoints": ["chat"]},
    "ak-off": {"disabled": True},
}


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    path = tmp_path / "keys.json"
    items = [
        {"id": text, "label": text, "sha256": hashlib.sha256(text.encode()).hexdigest(), **more}
        for text, more in KEYS.items()
    ]
    path.write_text(json.dumps({"keys": items}))
    settings = Settings(
        model=ModelSettings(name="tiny", path="/none.gguf"),
        auth=AuthSettings(required=True, keys_file=str(path)),
    )
    engine = LlamaEngine(settings.model, settings.engine, tmp_path, lambda: None)
    return Gateway(settings, engine, Tally("a", "test"), Credentials(None), open_to_all=False)


class Chat:
    """An application that speaks over WebSockets, and remembers who came."""

    def __init__(self) -> None:
        self.tenants: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any, check: Any) -> None:
        self.tenants.append(exchanges.of(scope).grant.tenant)
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})


async def _nothing(*_: Any) -> None:
    raise AssertionError("this is for plain HTTP")


async def _ask(
    gateway: Gateway,
    key: str,
    *,
    path: str = "/v1/stream",
    query: str = "",
) -> tuple[list[dict[str, Any]], list[str]]:
    app, sent = Chat(), []
    scope = {
        "type": "websocket", "path": path, "query_string": query.encode(), "headers": [],
        "client": ("127.0.0.1", 9), "server": ("127.0.0.1", 80),
        "extensions": {"websocket.http.response": {}},
    }  # fmt: skip
    if key:
        scope["headers"] = [(b"authorization", f"Bearer {key}".encode())]

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await Gate(_nothing, app, gateway, trusted=False)(scope, receive, send)
    return sent, app.tenants


async def test_who_may_is_let_in(gateway: Gateway) -> None:
    sent, tenants = await _ask(gateway, "ak-good")
    assert tenants == ["ak-good"]
    assert sent[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    ("key", "path", "status", "code"),
    [("", "/v1/stream", 401, "missing_api_key"), ("ak-bad", "/v1/stream", 401, "invalid_api_key"),
     ("ak-off", "/v1/stream", 401, "disabled_api_key"),
     ("ak-chat", "/v1/stream", 403, "endpoint_not_allowed"),
     ("ak-good", "/v1/stream/", 404, "not_found")],
)  # fmt: skip
async def test_who_may_not_is_told_in_the_handshake(
    gateway: Gateway, key: str, path: str, status: int, code: str
) -> None:
    sent, tenants = await _ask(gateway, key, path=path)
    assert tenants == []
    start, body = sent
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    assert body["type"] == "websocket.http.response.body"
    assert json.loads(body["body"])["error"]["code"] == code
    assert b"x-request-id" in dict(start["headers"])
    assert gateway.tally.in_flight == 0


async def test_a_key_in_the_query_is_none(gateway: Gateway) -> None:
    for name in ("key", "token", "api_key", "access_token", "authorization"):
        sent, tenants = await _ask(gateway, "", query=f"{name}=ak-good")
        assert tenants == []
        assert sent[0]["status"] == 401
