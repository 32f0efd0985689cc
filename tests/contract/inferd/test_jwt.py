"""Tokens on the wire: a daemon with a shared secret, a public key, and keys at an address."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text, until
from tests.fixtures.identity import Signer, by_hand, claims, jwk, key_set, public_pem, rsa_key

TEXT, CHAT, MODELS = "/v1/completions", "/v1/chat/completions", "/v1/models"
ASK = {"prompt": "hi", "max_tokens": 1}
SECRET = b"an apple a day keeps the doctor away"
HMAC = Signer(SECRET, "HS256", more={"aud": "inferd", "iss": "us"})
RSA = Signer(rsa_key(), "RS256", more={"aud": "inferd", "iss": "us"})


def _told(running: Running, token: str, path: str = TEXT, **more: Any) -> tuple[int, str]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    answer = httpx.post(running.url + path, json={**ASK, **more}, headers=headers)
    return answer.status_code, (answer.json().get("error") or {}).get("code", "")


@pytest.fixture(scope="module")
def guarded(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A daemon that accepts tokens of two kinds, and one key."""
    room = tmp_path_factory.mktemp("guarded")
    (room / "key.pem").write_bytes(public_pem(rsa_key()))
    (room / "jwt").write_bytes(SECRET)
    (room / "jwt").chmod(0o600)
    auth = (
        'required = true\n[auth.jwt]\nalgorithms = ["HS256", "RS256"]\nsecret = "jwt"\n'
        f'key_file = "{room}/key.pem"\naudience = "inferd"\nissuer = "us"\nmax_age_s = 7200\n'
    )
    text = settings_text(tiny_model, auth=auth, more='aliases = ["little"]')
    with daemon(room, text, credentials=room) as running:
        yield running.until_ready()


def test_good_tokens(guarded: Running) -> None:
    for signer in (HMAC, RSA):
        token = signer.token(sub="kitchen")
        for _ in range(2):
            answer = httpx.post(
                guarded.url + TEXT, json=ASK, headers={"authorization": f"Bearer {token}"}
            )
            assert answer.status_code == 200
            assert guarded.audit_of(answer)["key"] == "kitchen"
        assert token not in guarded.log


def test_bad_tokens(guarded: Running) -> None:
    now = int(time.time())
    good = {"aud": "inferd", "iss": "us"}
    pem = public_pem(rsa_key())
    for token, code in (
        ("", "missing_api_key"),
        (by_hand({"alg": "none"}, claims(**good)), "invalid_token"),
        (by_hand({"alg": "HS256"}, claims(**good), pem), "invalid_token"),
        (by_hand({"alg": "HS256"}, claims(**good), b""), "invalid_token"),
        (HMAC.token(exp=now - 60), "expired_token"),
        (HMAC.token(exp=None), "invalid_token"),
        (HMAC.token(nbf=now + 600), "early_token"),
        (HMAC.token(iat=now + 600), "early_token"),
        (RSA.token(aud="other"), "invalid_token"),
        (RSA.token(iss="them"), "invalid_token"),
        (RSA.token(exp=now + 9000), "invalid_token"),
        (RSA.token(padding="x" * 10_000), "invalid_token"),
        (RSA.token()[:-4] + "AAAA", "invalid_token"),
        (Signer(rsa_key("other"), "RS256", more=good).token(), "invalid_token"),
        (Signer(rsa_key(), "RS512", more=good).token(), "invalid_token"),
        ("a.b.c", "invalid_token"),
        ("ak-a.b.c", "invalid_token"),
        ("x", "invalid_token"),
    ):
        assert _told(guarded, token) == (401, code), token[:100]
    assert "Traceback" not in guarded.log


def test_scopes(guarded: Running) -> None:
    def told(scope: Any, path: str = TEXT, **more: Any) -> tuple[int, str]:
        return _told(guarded, HMAC.token(scope=scope), path, **more)

    assert told("completions") == told("all") == told(["completions"]) == (200, "")
    assert told("chat") == told("openid profile") == told("") == (403, "endpoint_not_allowed")
    assert told("all model:little", model="little") == (200, "")
    assert told("all model:little", model="tiny") == (403, "model_not_allowed")
    assert told(3) == (401, "invalid_token")
    token = HMAC.token(scope="models model:little")
    listed = httpx.get(guarded.url + MODELS, headers={"x-api-key": token}).json()["data"]
    assert [model["id"] for model in listed] == ["little"]


class _KeyServer(http.server.ThreadingHTTPServer):
    """Serves a key set that a test changes."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, data: bytes, port: int = 0) -> None:
        self.data = data
        self.asked = 0
        super().__init__(("127.0.0.1", port), _KeyRequest)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self.thread.start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class _KeyRequest(http.server.BaseHTTPRequestHandler):
    server: _KeyServer

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200)
        self.send_header("content-length", str(len(self.server.data)))
        self.end_headers()
        self.wfile.write(self.server.data)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.mark.slow
def test_keys_at_an_address_change_and_go_away(room: Path, tiny_model: Path) -> None:
    one = Signer(rsa_key("one"), "RS256", "1")
    two = Signer(rsa_key("two"), "RS256", "2")
    both = key_set(jwk(one.key, "1"), jwk(two.key, "2"))
    server = _KeyServer(key_set(jwk(one.key, "1")))
    port = server.server_address[1]
    auth = (
        'required = true\n[auth.jwt]\nalgorithms = ["RS256"]\njwks_ttl_s = 10\n'
        f'jwks_url = "http://127.0.0.1:{port}/keys"\n'
    )
    try:
        with daemon(room, settings_text(tiny_model, auth=auth)) as running:
            running.until_ready()
            assert _told(running, one.token()) == (200, "")
            assert _told(running, two.token()) == (401, "invalid_token")
            server.data = both
            until(lambda: _told(running, two.token())[0] == 200, "the rotation", 30)
            assert server.asked <= 4
            server.end()
            until(lambda: "stay in force" in running.log, "the silence is told", 40)
            assert _told(running, one.token(sub="a")) == _told(running, two.token()) == (200, "")
            assert _told(running, one.token({"kid": "3"})) == (401, "invalid_token")
            assert running.log.count("stay in force") == 1
            server = _KeyServer(key_set(jwk(two.key, "2")), port)
            until(lambda: _told(running, one.token())[0] == 401, "the key is taken back", 40)
            assert _told(running, two.token()) == (200, "")
            assert running.stop() == 0
    finally:
        server.end()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('algorithms = ["HS256"]\nsecret = "none"', "credential `none`"),
        ('algorithms = ["HS256"]\nsecret = "short"', "too short"),
        ('algorithms = ["HS256"]', "`secret` belongs to HS256"),
        ('algorithms = ["RS256"]\nkey_file = "/nowhere.pem"', "No such file"),
        ('algorithms = ["none"]', "auth.jwt.algorithms"),
        ('algorithms = ["RS256"]\njwks_url = "http://id.example.com/"', "must be https"),
    ],
)
def test_keys_that_keep_it_from_starting(
    room: Path, tiny_model: Path, more: str, told: str
) -> None:
    (room / "short").write_text("short")
    (room / "short").chmod(0o600)
    text = settings_text(tiny_model, auth=f"required = true\n[auth.jwt]\n{more}")
    with daemon(room, text, credentials=room) as running:
        assert running.wait() in (1, 78)
        assert told in running.log
        assert not running.said_ready
