"""Which origins may ask, and what their browsers are told."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from aiconsole.onhost.inferd.access.cors import Cors
from aiconsole.onhost.inferd.settings import CorsSettings

PAGE = "https://chat.example.com"


def _scope(method: str = "OPTIONS", **headers: str) -> dict[str, Any]:
    names = {"origin": "origin", "wants": "access-control-request-method",
             "headers": "access-control-request-headers"}  # fmt: skip
    found = [(names[name].encode(), value.encode()) for name, value in headers.items()]
    return {"method": method, "headers": found}


def _cors(*origins: str) -> Cors:
    return Cors(CorsSettings(origins=list(origins)))


def test_only_the_very_origin() -> None:
    cors = _cors(PAGE, "http://127.0.0.1:3000")
    assert cors.allows(PAGE.encode())
    assert cors.allows(b"http://127.0.0.1:3000")
    for other in (b"", b"null", b"https://chat.example.com.evil", b"http://chat.example.com",
                  b"https://chat.example.com:444", b"HTTPS://CHAT.EXAMPLE.COM"):  # fmt: skip
        assert not cors.allows(other)
    assert _cors("*").allows(b"https://any.example")


def test_only_a_preflight_is_answered() -> None:
    cors = _cors(PAGE)
    assert cors.preflight(_scope(origin=PAGE, wants="POST")) is not None
    assert cors.preflight(_scope(origin=PAGE)) is None
    assert cors.preflight(_scope(wants="POST")) is None
    assert cors.preflight(_scope("POST", origin=PAGE, wants="POST")) is None
    assert cors.preflight(_scope(origin="https://evil.example", wants="POST")) is None


def test_asked_headers_are_granted_if_they_are_headers() -> None:
    def granted(asked: str) -> bytes:
        found = _cors("*").preflight(_scope(origin=PAGE, wants="POST", headers=asked))
        return dict(found or [])[b"access-control-allow-headers"]

    assert granted("authorization, x-stainless-os") == b"authorization, x-stainless-os"
    for odd in ("", "a\r\nset-cookie: b", "a,,b", "x" * 100, ",".join(["a"] * 100)):
        assert granted(odd) == b"authorization, content-type, x-request-id, x-inferd-cache"


@pytest.mark.parametrize(
    "origin",
    ["", "chat.example.com", "https://a/", "https://A.b", "null", "https://a b", "ftp://a"],
)
def test_settings_that_no_browser_would_match(origin: str) -> None:
    with pytest.raises(ValidationError):
        CorsSettings(origins=[origin])
