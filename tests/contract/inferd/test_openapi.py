"""The description of the API, held against the API itself."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiconsole.onhost.inferd.app import _routes
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.llama import LlamaEngine
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.settings import ModelSettings, Settings
from aiconsole.onhost.inferd.tally import Tally

DOCUMENT = "/openapi.json"


@pytest.fixture
def document(client: httpx.Client) -> dict[str, Any]:
    answer = client.get(DOCUMENT)
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _asked(client: httpx.Client, path: str, method: str, operation: dict[str, Any]) -> Any:
    body = operation.get("requestBody")
    example = body["content"]["application/json"]["example"] if body else None
    return client.request(method.upper(), path.replace("{model}", "tiny"), json=example)


def _resolved(document: dict[str, Any], node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _fits(document: dict[str, Any], schema: Any, value: Any, where: str = "answer") -> None:
    """Just as much of JSON Schema as the document uses; what it does not know fails."""
    schema = _resolved(document, schema)
    known = {"type", "properties", "required", "items", "anyOf", "const", "enum", "description",
             "minimum", "maximum", "minItems", "maxItems", "maxLength", "default",
             "examples"}  # fmt: skip
    assert set(schema) <= known, (where, set(schema) - known)
    if "anyOf" in schema:
        faults = []
        for one in schema["anyOf"]:
            try:
                return _fits(document, one, value, where)
            except AssertionError as error:
                faults.append(str(error))
        raise AssertionError(f"{where}: {faults}")
    if "const" in schema:
        assert value == schema["const"], where
    if "enum" in schema:
        assert value in schema["enum"], where
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    types: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool,
             "array": list, "object": dict, "null": type(None)}  # fmt: skip
    assert not kinds or any(isinstance(value, types[kind]) for kind in kinds), (where, value)
    if isinstance(value, list):
        for index, item in enumerate(value):
            _fits(document, schema.get("items", {}), item, f"{where}[{index}]")
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value), (where, value)
        for name, item in value.items():
            if name in schema.get("properties", {}):
                _fits(document, schema["properties"][name], item, f"{where}.{name}")
    return None


def test_it_is_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"]
    assert document["info"]["version"]
    names = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(names) == len(set(names))
    for path, _, operation in _operations(document):
        assert operation["summary"]
        assert operation["responses"]
        for response in operation["responses"].values():
            assert _resolved(document, response)["description"], path


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    used = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                used.add(node["$ref"])
                assert _resolved(document, node) is not None
            for item in node.values():
                walk(item)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(document)
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    # Those of the WebSocket's messages are told of in words: OpenAPI has no place for them.
    assert schemas - used == {
        "#/components/schemas/SocketRequest", "#/components/schemas/SocketMessage",
    }  # fmt: skip


def test_each_path_is_there_and_answers_as_described(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    for path, method, operation in _operations(document):
        answer = _asked(client, path, method, operation)
        if path == "/v1/stream":
            assert answer.status_code == 426
            continue
        assert answer.status_code == 200, (path, answer.text)
        content = operation["responses"]["200"]["content"]
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in content, path
        if kind == "application/json" and content[kind]:
            _fits(document, content[kind]["schema"], answer.json(), path)


def test_what_it_asks_for_is_what_is_checked(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    for path, method, operation in _operations(document):
        if "requestBody" not in operation:
            continue
        media = operation["requestBody"]["content"]["application/json"]
        _fits(document, media["schema"], media["example"], path)
        for name, schema in _resolved(document, media["schema"])["properties"].items():
            wrong = {"string": 7, "integer": "x", "number": "x", "boolean": "x", "array": 7,
                     "object": 7, None: 3.5}[schema.get("type")]  # fmt: skip
            if name == "stop":
                wrong = 7
            answer = client.request(method, path, json={**media["example"], name: wrong})
            assert answer.status_code in (400, 404), (path, name, answer.text)
            _fits(document, operation["responses"]["400"]["content"]["application/json"]["schema"]
                  if "content" in operation["responses"]["400"]
                  else {"$ref": "#/components/schemas/Error"}, answer.json())  # fmt: skip


def test_each_route_is_described(document: dict[str, Any], room: Path) -> None:
    described = {re.sub(r"\{.*?\}", "{}", path) for path in document["paths"]}
    settings = Settings(model=ModelSettings(name="tiny", path="/none"))
    engine = LlamaEngine(settings.model, settings.engine, room)
    gateway = Gateway(settings, engine, Tally("a", "r"), Credentials(None), open_to_all=False)
    for route in _routes(gateway):
        path = re.sub(r"\{.*?\}", "{}", route.path)
        assert path in described, route.path
        methods = document["paths"][route.path.replace("{name:path}", "{model}")]
        assert {m.lower() for m in (route.methods or ()) if m != "HEAD"} == set(methods)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "style" and not self.style:
            self.style = data
        self.text += data


def test_the_page_tells_all_and_fetches_nothing(
    client: httpx.Client, document: dict[str, Any]
) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    page = _Page()
    page.feed(answer.text)
    assert "default-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith(("#", "openapi.json"))
    for path, _, operation in _operations(document):
        assert path in page.text
        assert operation["summary"] in page.text
    assert "curl" in page.text
    assert "SocketMessage" in page.text


def test_head_and_post_of_health(client: httpx.Client) -> None:
    for path in ("/health", "/ready", DOCUMENT, "/docs", "/v1/models"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
    assert client.post("/health", content=b"anything").status_code == 200
