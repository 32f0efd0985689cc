"""Where an OpenAI-compatible server is, how it is reached, and what is peculiar to it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from aiconsole.onhost.inferd.credentials import Secret
from aiconsole.onhost.inferd.engine.far import FarHttp
from aiconsole.onhost.inferd.engine.plain_http import Connect, PlainHttp
from aiconsole.onhost.inferd.engine.transport import Transport


@dataclass(frozen=True, slots=True)
class Quirks:
    """In what servers of the same API differ."""

    closes_streams: bool = False
    """It closes the connection after a stream without saying so in a header (llama.cpp)."""
    sums_usage: bool = False
    """It counts each answer of a request for itself, its prompt each time (llama.cpp)."""
    tells_progress: bool = False
    """It knows `return_progress`, and tells of a prompt that it works on (llama.cpp)."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    model_name: str = ""
    """What it calls the model; empty passes on the name that the client used."""


LLAMA = Quirks(closes_streams=True, sums_usage=True, tells_progress=True)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server."""

    base_url: str
    """With the path before `/chat/completions`; the host is of no account on a UNIX socket."""
    key: Secret | None = None
    socket_path: str = ""
    """UNIX socket to connect to; empty connects to the host of the URL."""
    tls: ssl.SSLContext | None = None
    """What to trust; None takes the system's certificates."""
    root_url: str = ""
    """Base of the two paths below; empty where there are none."""
    health_path: str = "/health"
    metrics_path: str = "/metrics"
    silence_s: float | None = None
    """How long it may send nothing; None leaves that to somebody who knows what it is doing."""
    quirks: Quirks = Quirks()

    def transport(self, connections: int) -> Transport:
        """Connections to it; `connections` is how many may be kept for the next request."""
        key = self.key.reveal() if self.key is not None else ""
        if not self._is_ours:
            return FarHttp(key, self.silence_s, self.tls)
        return PlainHttp(
            self._connect(), key, connections, closes_streams=self.quirks.closes_streams
        )

    @property
    def _is_ours(self) -> bool:
        """Whether it is a process that we watch: who watches it knows when it is silent."""
        near = bool(self.socket_path) or self.base_url.startswith("http://127.")
        return near and self.silence_s is None

    def _connect(self) -> Connect:
        loop = asyncio.get_running_loop()
        if self.socket_path:
            return lambda make: loop.create_unix_connection(make, self.socket_path)
        url = urlsplit(self.base_url)
        host, port = url.hostname or "", url.port or 80
        return lambda make: loop.create_connection(make, host, port)
