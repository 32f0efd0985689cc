"""Who may ask, on the wire: addresses, limits of keys, spellings of paths, and keys under load."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text

TEXT, CHAT, MODELS = "/v1/completions", "/v1/chat/completions", "/v1/models"
ASK = {"prompt": "hi", "max_tokens": 1}
OUTSIDE = {"x-forwarded-for": "203.0.113.9"}


class Keys:
    """A keys file, replaced in one step as the console does it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts: dict[str, str] = {}
        self._items: dict[str, dict[str, Any]] = {}

    def add(self, name: str, **more: Any) -> str:
        text = self.texts[name] = f"ak-{name}-{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._items[name] = {"id": name, "label": name, "sha256": digest, **more}
        return text

    def write(self, *without: str) -> None:
        items = [item for name, item in self._items.items() if name not in without]
        draft = self.path.with_suffix(".part")
        draft.write_text(json.dumps({"keys": items}))
        draft.replace(self.path)


@pytest.fixture
def keys(room: Path) -> Keys:
    return Keys(room / "keys.json")


def _auth(keys: Keys, more: str = "") -> str:
    return f'required = true\nkeys_file = "{keys.path}"\n{more}'


def _told(answer: httpx.Response) -> tuple[int, str]:
    found = answer.json() if answer.headers["content-type"] == "application/json" else {}
    return answer.status_code, (found.get("error") or {}).get("code", "")


def _bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def _metric(running: Running, series: str) -> float:
    """A series, as a program on the same machine reads it."""
    for line in httpx.get(running.url + "/metrics").text.splitlines():
        if line.startswith(series + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def _rejected(running: Running, reason: str) -> float:
    return _metric(running, f'inferd_rejected_total{{reason="{reason}"}}')


def test_addresses_that_may_not_ask(room: Path, tiny_model: Path) -> None:
    auth = 'allow = ["203.0.113.0/24"]'
    with daemon(room, settings_text(tiny_model, auth=auth)) as running:
        running.until_ready()
        for headers in ({}, OUTSIDE, {"forwarded": "for=203.0.113.9"}):
            answer = httpx.post(running.url + TEXT, json=ASK, headers=headers)
            assert _told(answer) == (403, "address_not_allowed")
            assert running.audit_of(answer)["ip"] == "127.0.0.1"
        assert _rejected(running, "ip") == 3
        # What watches the service on this machine sees it all the same; who comes by a proxy not.
        for path in ("/health", "/ready", "/metrics"):
            assert httpx.get(running.url + path).status_code == 200
            behind = httpx.get(running.url + path, headers=OUTSIDE)
            assert _told(behind) == (403, "address_not_allowed")
        assert running.status()["state"] == "ready"


def test_addresses_behind_a_trusted_proxy(room: Path, tiny_model: Path) -> None:
    auth = 'allow = ["203.0.113.0/24"]\ntrusted_proxies = ["127.0.0.0/8"]'
    with daemon(room, settings_text(tiny_model, auth=auth)) as running:
        running.until_ready()
        for value, code, client in (
            ("203.0.113.9", 200, "203.0.113.9"),
            ("8.8.8.8, 203.0.113.9", 200, "203.0.113.9"),
            ("203.0.113.9, 198.51.100.1", 403, "198.51.100.1"),
            ("203.0.113.9, 127.0.0.2", 200, "203.0.113.9"),
            ("203.0.113.9, garbage", 403, "127.0.0.1"),
        ):
            answer = httpx.post(running.url + TEXT, json=ASK, headers={"x-forwarded-for": value})
            assert answer.status_code == code, value
            assert running.audit_of(answer)["ip"] == client
        headers = {"forwarded": "for=203.0.113.9"}  # the proxy is said to write the other one
        assert httpx.post(running.url + TEXT, json=ASK, headers=headers).status_code == 403


def test_what_a_key_is_good_for(room: Path, tiny_model: Path, keys: Keys) -> None:
    chat = keys.add("chat", endpoints=["chat"])
    small = keys.add("small", models=["little"])
    nothing = keys.add("nothing", models=["elsewhere"])
    here = keys.add("here", allow=["127.0.0.1"])
    away = keys.add("away", allow=["10.0.0.0/8"])
    ended = keys.add("ended", expires_unix_s=time.time() - 1)
    early = keys.add("early", not_before_unix_s=time.time() + 3600)
    off = keys.add("off", disabled=True)
    odd = keys.add("odd", model="tiny")
    metrics = keys.add("metrics", endpoints=["metrics"])
    keys.write()
    text = settings_text(tiny_model, auth=_auth(keys), more='aliases = ["little"]')
    with daemon(room, text) as running:
        running.until_ready()

        def ask(key: str, path: str = TEXT, **more: Any) -> tuple[int, str]:
            given = {**ASK, **more}
            if path == CHAT:
                given["messages"] = [{"role": "user", "content": given.pop("prompt")}]
            return _told(httpx.post(running.url + path, json=given, headers=_bearer(key)))

        assert ask(chat, CHAT) == (200, "")
        assert ask(chat) == (403, "endpoint_not_allowed")
        assert ask(chat, "/nowhere") == (403, "endpoint_not_allowed")
        assert ask(chat, CHAT + "%0a") == (403, "endpoint_not_allowed")
        assert ask(small, model="little") == ask(small) == (200, "")
        assert ask(small, model="tiny") == (403, "model_not_allowed")
        assert ask(small, model="nowhere") == (404, "model_not_found")
        assert ask(nothing) == ask(nothing, model="tiny") == (403, "model_not_allowed")
        assert ask(here) == (200, "")
        assert ask(away) == (403, "address_not_allowed")
        assert ask(ended) == (401, "expired_api_key")
        assert ask(early) == (401, "early_api_key")
        assert ask(off) == (401, "disabled_api_key")
        assert ask(odd) == (401, "invalid_api_key")

        def names(key: str) -> list[str]:
            answer = httpx.get(running.url + MODELS, headers=_bearer(key))
            return [model["id"] for model in answer.json()["data"]]

        assert names(here) == ["tiny", "little"]
        assert names(small) == ["little"]
        assert names(nothing) == []
        one = httpx.get(f"{running.url}{MODELS}/tiny", headers=_bearer(small))
        assert _told(one) == (403, "model_not_allowed")
        one = httpx.get(running.url + MODELS, headers=_bearer(chat))
        assert _told(one) == (403, "endpoint_not_allowed")
        scrape = {**OUTSIDE, **_bearer(metrics)}
        assert httpx.get(running.url + "/metrics", headers=scrape).status_code == 200
        scrape = {**OUTSIDE, **_bearer(chat)}
        assert httpx.get(running.url + "/metrics", headers=scrape).status_code == 403
        assert httpx.get(running.url + "/metrics", headers=OUTSIDE).status_code == 401

        assert _metric(running, "inferd_keys") == 9
        assert _metric(running, "inferd_keys_refused") == 1
        assert _rejected(running, "scope") == 9
        assert _rejected(running, "auth") == 5
        assert running.stop() == 0
        assert running.log.count("client keys are refused") == 1
        assert "'model' is not known here" in running.log
        for key in keys.texts.values():
            assert key not in running.log
            assert hashlib.sha256(key.encode()).hexdigest() not in running.log


def test_where_a_key_may_stand(room: Path, tiny_model: Path, keys: Keys) -> None:
    key = keys.add("one")
    keys.write()
    with daemon(room, settings_text(tiny_model, auth=_auth(keys))) as running:
        running.until_ready()

        def ask(*headers: tuple[str, str], query: str = "") -> tuple[int, str]:
            return _told(httpx.get(running.url + MODELS + query, headers=list(headers)))

        for good in (
            [("Authorization", f"Bearer {key}")], [("authorization", f"bearer   {key}")],
            [("x-api-key", key)], [("Api-Key", key)],
            [("Authorization", "Basic eDp5"), ("x-api-key", key)],
        ):  # fmt: skip
            assert ask(*good) == (200, "")
        for none in ([], [("Authorization", "Bearer")], [("Authorization", key)],
                     [("Authorization", "Bearer"), ("x-api-key", key)]):  # fmt: skip
            assert ask(*none) == (401, "missing_api_key")
        for bad in ([("Authorization", "Bearer x"), ("x-api-key", key)], [("api-key", key[1:])],
                    [("Authorization", f"Bearer {key} {key}")]):  # fmt: skip
            assert ask(*bad) == (401, "invalid_api_key")
        twice = [("Authorization", "Bearer x"), ("Authorization", f"Bearer {key}")]
        assert ask(*twice) == (401, "ambiguous_api_key")
        for name in ("key", "api_key", "api-key", "token", "access_token"):
            assert ask(query=f"?{name}={key}") == (401, "missing_api_key")
        assert key not in running.log


def _say(running: Running, target: bytes, method: bytes = b"GET") -> bytes:
    """Status of a target that no client library would send as it is."""
    parts = urlsplit(running.url)
    with socket.create_connection((str(parts.hostname), int(parts.port or 0))) as sock:
        head = b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (method, target)
        sock.sendall(head)
        found = b""
        while piece := sock.recv(65536):
            found += piece
    return found.split(b" ", 2)[1]


@pytest.fixture(scope="module")
def locked(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A daemon that lets nobody in."""
    room = tmp_path_factory.mktemp("locked")
    keys = Keys(room / "keys.json")
    keys.write()
    with daemon(room, settings_text(tiny_model, auth=_auth(keys))) as running:
        yield running.until_ready()


@pytest.mark.parametrize(
    "target",
    [b"//v1/models", b"/v1//models", b"/v1/models/", b"/v1/models/../../health",
     b"/health/../v1/models", b"/health/..%2fv1/models", b"/health%2f..%2fv1%2fmodels",
     b"/health/%2e%2e/v1/models", b"/v1/%6dodels", b"/%76%31/models", b"/v1/models%00",
     b"/v1/models?x=/health", b"/v1/models#/health", b"/v1/models;/health", b"/V1/MODELS",
     b"http://x/v1/models", b"http://x/health/../v1/models", b"/health/", b"//health",
     b"//health/v1/models", b"/health%0a", b"/./v1/models", b"/.//health", b"/health%20",
     b"/v1/models%3f/health", b"/ready/v1/models", b"/v1/models%0d%0a/health", b"/%2fhealth",
     b"*", b"/metrics/", b"/metrics/engine/", b"/docs", b"/openapi.json", b"/admin/status"],
)  # fmt: skip
def test_no_spelling_opens_a_protected_path(locked: Running, target: bytes) -> None:
    for method in (b"GET", b"HEAD", b"POST", b"OPTIONS"):
        assert _say(locked, target, method) in (b"401", b"400")


@pytest.mark.parametrize("target", [b"/health", b"/%68ealth", b"/health?x=1", b"http://x/health"])
def test_a_public_path_is_public_in_every_spelling_of_it(locked: Running, target: bytes) -> None:
    assert _say(locked, target) == b"200"


def test_public_routes_are_the_ones_that_are_named(
    room: Path, tiny_model: Path, keys: Keys
) -> None:
    key = keys.add("one")
    keys.write()
    auth = _auth(keys, 'public_routes = ["/v1/models", "/metrics"]')
    with daemon(room, settings_text(tiny_model, auth=auth)) as running:
        running.until_ready()

        def code(path: str, **headers: str) -> int:
            return httpx.get(running.url + path, headers={**OUTSIDE, **headers}).status_code

        assert code("/v1/models") == code("/v1/models/tiny") == code("/metrics") == 200
        assert code("/health") == code("/ready") == 401
        assert code("/health", **_bearer(key)) == 200
        assert httpx.get(running.url + "/health").status_code == 200  # asked on this machine
        assert httpx.post(running.url + TEXT, json=ASK).status_code == 401


def test_keys_change_under_load_and_no_request_notices(
    room: Path, tiny_model: Path, keys: Keys
) -> None:
    for number in range(200):
        keys.add(f"other{number}")
    key = keys.add("steady")
    gone = keys.add("gone")
    keys.write()
    with daemon(room, settings_text(tiny_model, auth=_auth(keys))) as running:
        running.until_ready()
        codes: list[int] = []
        stop = threading.Event()

        def hammer() -> None:
            with httpx.Client(base_url=running.url, headers=_bearer(key)) as client:
                while not stop.is_set():
                    codes.append(client.get(MODELS).status_code)
                    codes.append(client.post(TEXT, json=ASK).status_code)

        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for thread in threads:
            thread.start()
        with httpx.Client(base_url=running.url, headers=_bearer(gone)) as client:
            for number in range(60):
                # Taken back and given again: each change is in force for the very next request.
                keys.write("gone")
                assert client.get(MODELS).status_code == 401, number
                keys.write()
                assert client.get(MODELS).status_code == 200, number
        stop.set()
        for thread in threads:
            thread.join()
        assert len(codes) > 50
        assert set(codes) == {200}
        assert running.tally_after_stop()["failed"] == 0
