"""What a client shows to be let in: a key or a token, out of the headers."""

from __future__ import annotations

from aiconsole.onhost.inferd.errors import unauthorized
from aiconsole.onhost.inferd.exchange import Scope

_KEY_HEADERS = (b"x-api-key", b"api-key")
_KEY_START = "ak-"


def shown(scope: Scope) -> str:
    """Text of the key or the token; empty where none is shown.

    `Authorization: Bearer` goes before `x-api-key` and `api-key`, which some clients send instead.
    It is never taken from the query: what stands there ends in the logs of others.

    Raises:
        ApiError: 401, where a header is there twice: two readers could see two different ones.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name == b"authorization" or name in _KEY_HEADERS:
            if name in found:
                raise unauthorized("A header with a key is there twice.", code="ambiguous_api_key")
            found[name] = value
    if b"authorization" in found:
        scheme, _, text = found[b"authorization"].decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            return text.strip()
    for name in _KEY_HEADERS:
        if name in found:
            return found[name].decode("latin-1").strip()
    return ""


def is_token(text: str) -> bool:
    """Whether it is a JWT by its looks: three parts between dots, and no key of ours."""
    return text.count(".") == 2 and not text.startswith(_KEY_START)
