"""`[limits]`: how much is let in, and for how long."""

from __future__ import annotations

from pydantic import Field

from aiconsole.onhost.inferd.settings.table import Table


class LimitSettings(Table):
    """Rates, places and times; 0 is no limit where the field says so."""

    running: int = Field(default=0, ge=0, le=4096)
    """Requests in the engine at a time; 0 follows the slots."""
    queue: int = Field(default=64, ge=0, le=100_000)
    """Requests that may wait; more are answered 503, those of the greediest client first."""
    body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    requests_per_minute: float = Field(default=0.0, ge=0)
    """Of all clients together, below `/v1/`; 0 is no limit."""
    key_requests_per_minute: float = Field(default=0.0, ge=0)
    """Of each client whose key says nothing else; 0 is no limit."""
    key_tokens_per_minute: int = Field(default=0, ge=0)
    """Prompt and answer, of each client whose key says nothing else; 0 is no limit."""
    burst_s: float = Field(default=10.0, gt=0, le=3600)
    """A rate may be used up in one go for so many seconds' worth of it."""
    drain_timeout_s: float = Field(default=60.0, ge=0)
    """How long a stop waits for the requests at work."""
    idle_grace_s: float = Field(default=2.0, ge=0)
    """How long a stop keeps idle connections, so that their clients move over unharmed."""
    read_timeout_s: float = Field(default=60.0, gt=0)
    """How long a request may take to arrive whole; then it is answered 408."""
    write_timeout_s: float = Field(default=60.0, gt=0)
    """How long a client may take nothing of its answer; then its connection is broken off."""
    total_timeout_s: float = Field(default=600.0, gt=0)
    first_token_timeout_s: float = Field(default=120.0, gt=0)
    between_tokens_timeout_s: float = Field(default=60.0, gt=0)
    """How long the engine may pause once an answer has begun; the time that a client takes to
    read does not count."""
