"""One request and its answer, as they are counted, timed and written down."""

from __future__ import annotations

import os
import re
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiconsole.onhost.inferd.access.grant import NOBODY, Grant

Scope: TypeAlias = MutableMapping[str, Any]

_KEY = "inferd.exchange"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


@dataclass(slots=True)
class Exchange:
    """Filled in as the request goes through."""

    request_id: str
    method: str
    path: str
    client: str
    """Address of who asks, behind trusted proxies; empty on the admin socket."""
    trusted: bool
    """Whether it came by the admin socket."""
    began: float = field(default_factory=time.perf_counter)
    route: str = "other"
    """Bounded name of the route, for metrics."""
    grant: Grant = NOBODY
    """Who asks, and what they may; set by the gate before the route."""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Further headers of the answer, whatever it is."""
    cache: str = ""
    """What the cache said: `hit`, `miss`, `joined`, `bypass`, `unavailable`, or nothing."""
    prompt_sha256: str = ""
    """Digest of what was asked, for the audit."""
    prompt: str = ""
    """What was asked, only where the audit wants it."""
    model: str = ""
    code: int = 0
    """HTTP status; 499 where the client went away."""
    reason: str = ""
    """Code of the error, or what ended the request early."""
    finish_reason: str = ""
    stream: bool = False
    cut: bool = False
    """The daemon broke off an answer that had begun."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    queue_s: float = 0.0
    ttft_s: float = 0.0
    """From arrival to the first token; 0 where none came."""

    @classmethod
    def open(cls, scope: Scope, *, trusted: bool) -> Exchange:
        """Begin one; the client's own request id is kept if it is harmless."""
        given = header(scope, b"x-request-id")
        known = _REQUEST_ID.fullmatch(given)
        request_id = given.decode("ascii") if known else os.urandom(16).hex()
        client = scope.get("client")
        exchange = cls(
            # A WebSocket begins as a GET, and its scope does not say so.
            request_id, scope.get("method", "GET"), scope["path"],
            client[0] if client else "", trusted,
        )  # fmt: skip
        scope[_KEY] = exchange
        return exchange

    @property
    def elapsed_s(self) -> float:
        """Time since the request arrived."""
        return time.perf_counter() - self.began

    @property
    def failed(self) -> bool:
        """Whether the daemon is to blame for how it ended."""
        return self.code >= 500 or self.cut


def of(scope: Scope) -> Exchange:
    """The exchange of a request."""
    exchange: Exchange = scope[_KEY]
    return exchange


def header(scope: Scope, name: bytes) -> bytes:
    """Value of a request's header, or nothing."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""
