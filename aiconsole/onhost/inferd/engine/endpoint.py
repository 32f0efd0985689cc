"""Where an OpenAI-compatible server is, how it is reached, and what is peculiar to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Literal

import aiohttp

from aiconsole.onhost.inferd.credentials import Secret

_CONNECT_TIMEOUT_S = 5.0
_FAR_CONNECT_TIMEOUT_S = 15.0
_KEPT_S = 2.0  # llama.cpp closes an idle connection after 5 s, and uvicorn does too
_FAR_KEPT_S = 15.0  # a new one costs a handshake


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

    def session(self, connections: int, *, once: bool = False) -> aiohttp.ClientSession:
        """A pool of connections to it.

        Args:
            connections: How many at most; 0 is no limit.
            once: Each connection is for one request.
        """
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key.reveal()}"
        connect_s = _CONNECT_TIMEOUT_S if self._is_near else _FAR_CONNECT_TIMEOUT_S
        return aiohttp.ClientSession(
            connector=self._connector(connections, once),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=connect_s, sock_read=self.silence_s
            ),
            skip_auto_headers=("User-Agent", "Accept"),
            auto_decompress=False,
            trust_env=False,
        )

    @property
    def _is_near(self) -> bool:
        return bool(self.socket_path) or self.base_url.startswith("http://127.")

    def _connector(self, connections: int, once: bool) -> aiohttp.BaseConnector:
        kept_s = _KEPT_S if self._is_near else _FAR_KEPT_S
        if self.socket_path:
            if once:
                return aiohttp.UnixConnector(self.socket_path, force_close=True, limit=connections)
            return aiohttp.UnixConnector(
                self.socket_path, keepalive_timeout=kept_s, limit=connections
            )
        tls = self.tls if self.tls is not None else True
        if once:
            return aiohttp.TCPConnector(force_close=True, limit=connections, ssl=tls)
        return aiohttp.TCPConnector(keepalive_timeout=kept_s, limit=connections, ssl=tls)
