"""Who asks, and what they may: the outcome of a key, a token, or of none being needed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grant:
    """What one client may do; the same object for all requests of the same key."""

    name: str = ""
    """Bounded name for logs and metrics; never the key."""
    tenant: str = ""
    """Keeps clients apart in the cache, in rates and in the queue: the id of the key or the
    subject of the token; empty for everybody who needs none."""
    models: frozenset[str] | None = None
    """Models that it may ask for; None is every one."""
    endpoints: frozenset[str] | None = None
    """Routes that it may use, by their bounded names (`chat`, `embeddings`); None is every one."""
    requests_per_minute: float | None = None
    """0 is no limit; None takes the settings' own."""
    tokens_per_minute: int | None = None
    """Prompt and answer; 0 is no limit, None takes the settings' own."""
    tokens_per_day: int = 0
    """0 is no limit."""


NOBODY = Grant()
"""Where no key is needed."""
