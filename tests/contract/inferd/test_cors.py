"""What a browser is told: nothing by default, and only to the pages that may ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text

CHAT = "/v1/chat/completions"
PAGE, OTHER = "https://chat.example.com", "https://evil.example.com"
ALLOW = "access-control-allow-origin"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
}


def _settings(model: Path, origins: str, auth: str = "") -> str:
    return settings_text(model, auth=auth) + f"[cors]\norigins = [{origins}]\nmax_age_s = 60\n"


@pytest.fixture
def running(room: Path, tiny_model: Path) -> Iterator[Running]:
    """With a key that nobody has, so that every answer but a preflight's is an error."""
    text = _settings(tiny_model, f'"{PAGE}"', auth="required = true")
    with daemon(room, text) as running:
        yield running.until_ready()


def test_off_by_default(client: httpx.Client) -> None:
    answer = client.get("/health", headers={"origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "vary" not in answer.headers
    asked = client.options(CHAT, headers={"origin": PAGE, **PREFLIGHT})
    assert (asked.status_code, asked.json()["error"]["code"]) == (405, "method_not_allowed")


def test_a_preflight_needs_no_key(running: Running) -> None:
    answer = httpx.options(running.url + CHAT, headers={"origin": PAGE, **PREFLIGHT})
    assert answer.status_code == 204
    assert answer.headers[ALLOW] == PAGE
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"]
    assert allowed == PREFLIGHT["access-control-request-headers"]
    assert answer.headers["access-control-max-age"] == "60"
    assert answer.headers["vary"] == "Origin"
    assert running.status()["served"] == 0


def test_another_page_gets_nothing(running: Running) -> None:
    asked = httpx.options(running.url + CHAT, headers={"origin": OTHER, **PREFLIGHT})
    assert asked.status_code == 401
    answer = httpx.get(running.url + "/health", headers={"origin": OTHER})
    for found in (asked, answer):
        assert not [name for name in found.headers if name.startswith("access-control")]
        assert found.headers["vary"] == "Origin"


def test_errors_can_be_read_by_the_page(running: Running) -> None:
    for answer in (
        httpx.post(running.url + CHAT, json={}, headers={"origin": PAGE}),
        httpx.get(running.url + "/health", headers={"origin": PAGE}),
    ):
        assert answer.headers[ALLOW] == PAGE
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"x-request-id", "retry-after", "x-ratelimit-remaining-requests"} <= set(exposed)
    assert httpx.get(running.url + "/health").headers.get(ALLOW) is None


def test_every_page_and_then_no_credentials(room: Path, tiny_model: Path) -> None:
    with daemon(room, _settings(tiny_model, '"*"')) as running:
        running.until_ready()
        asked = httpx.options(running.url + CHAT, headers={"origin": OTHER, **PREFLIGHT})
        body = {"prompt": "hi", "max_tokens": 2, "stream": True}
        stream = httpx.post(running.url + "/v1/completions", json=body, headers={"origin": OTHER})
        missing = httpx.get(running.url + "/nothing", headers={"origin": OTHER})
        assert (asked.status_code, stream.status_code, missing.status_code) == (204, 200, 404)
        for answer in (asked, stream, missing):
            assert answer.headers[ALLOW] == "*"
            assert "access-control-allow-credentials" not in answer.headers
        assert stream.text.endswith("data: [DONE]\n\n")


def test_an_origin_that_no_browser_sends_is_a_fault_of_the_settings(
    room: Path, tiny_model: Path
) -> None:
    with daemon(room, _settings(tiny_model, '"https://chat.example.com/app"')) as running:
        assert running.wait() == 78
        assert "without a path" in running.log
