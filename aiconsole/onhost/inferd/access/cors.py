"""Which web pages may ask from a browser, and what a browser is told about it."""

from __future__ import annotations

import re

from aiconsole.onhost.inferd.exchange import Scope, header
from aiconsole.onhost.inferd.settings import CorsSettings

_METHODS = b"GET, HEAD, POST, OPTIONS"
_EXPOSED = (
    b"x-request-id, retry-after, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
    b"x-ratelimit-reset-requests, x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, "
    b"x-ratelimit-reset-tokens, x-inferd-cache"
)
_USUAL_HEADERS = b"authorization, content-type, x-request-id, x-inferd-cache"
_HEADER_LIST = re.compile(rb"[A-Za-z0-9-]{1,64}( ?, ?[A-Za-z0-9-]{1,64}){0,63}")

_Headers = list[tuple[bytes, bytes]]


class Cors:
    """The allowed origins; there is none of these where the settings name no origin."""

    def __init__(self, settings: CorsSettings) -> None:
        self._any = "*" in settings.origins
        self._origins = frozenset(origin.encode() for origin in settings.origins)
        self._max_age = str(int(settings.max_age_s)).encode()

    @classmethod
    def of(cls, settings: CorsSettings) -> Cors | None:
        """None where no page may ask: then a request is not looked at for it."""
        return cls(settings) if settings.origins else None

    def allows(self, origin: bytes) -> bool:
        """Whether a page of that origin may ask."""
        return self._any or origin in self._origins

    def headers(self, scope: Scope) -> _Headers:
        """What every answer to this request says, whatever it is."""
        if self._any:
            return [
                (b"access-control-allow-origin", b"*"),
                (b"access-control-expose-headers", _EXPOSED),
            ]
        found: _Headers = [(b"vary", b"Origin")]
        origin = header(scope, b"origin")
        if origin in self._origins:
            found += [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", _EXPOSED),
            ]
        return found

    def preflight(self, scope: Scope) -> _Headers | None:
        """Answer to what a browser asks first, without a key; None if this is not that.

        A header that a page may send is granted by its name: what counts is the key in it.
        """
        if scope["method"] != "OPTIONS" or not header(scope, b"access-control-request-method"):
            return None
        if not self.allows(header(scope, b"origin")):
            return None
        wanted = header(scope, b"access-control-request-headers")
        granted = wanted if _HEADER_LIST.fullmatch(wanted) else _USUAL_HEADERS
        return [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", granted),
            (b"access-control-max-age", self._max_age),
        ]
