"""What a client wants of the cache for its request."""

from __future__ import annotations

from aiconsole.onhost.inferd.engine.protocol import Wish
from aiconsole.onhost.inferd.errors import bad_request
from aiconsole.onhost.inferd.exchange import Scope

_HEADER = "x-inferd-cache"


def of_headers(scope: Scope) -> Wish:
    """What the headers say: `x-inferd-cache`, or HTTP's own `Cache-Control: no-store`.

    Raises:
        ApiError: 400, a word that is not known.
    """
    wish: Wish = ""
    for name, value in scope["headers"]:
        if name == b"x-inferd-cache":
            return _read(bytes(value))
        if name == b"cache-control" and b"no-store" in value.lower():
            wish = "no-store"
    return wish


def _read(value: bytes) -> Wish:
    word = value.strip().lower()
    if word == b"use":
        return "use"
    if word == b"no-store":
        return "no-store"
    raise bad_request(f"The header `{_HEADER}` must be `use` or `no-store`.", param=_HEADER)
