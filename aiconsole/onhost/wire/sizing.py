"""What inferd chooses for an engine where a release leaves it open; the console counts with it."""

from __future__ import annotations

DEFAULT_SLOTS = 4
"""Requests that run at once: four were 3.5 times as fast as one on two cores, eight no faster."""

DEFAULT_CONTEXT_TOKENS = 8192
"""Of one request, where the model was trained for more."""

UNKNOWN_CONTEXT_TOKENS = 2048
"""Where the model's file does not say what it was trained for."""

CONTEXT_MEMORY_SHARE = 4
"""One part in this many of the machine's memory holds the contexts of all slots, at most."""


def pool_tokens(
    context_tokens: int, slots: int, kv_bytes_per_token: int, memory_total_bytes: int
) -> int:
    """Tokens of context in all slots together: one context for each, as far as memory goes."""
    affordable = memory_total_bytes // CONTEXT_MEMORY_SHARE // max(1, kv_bytes_per_token)
    return max(context_tokens, min(context_tokens * slots, affordable))


def request_tokens(asked_tokens: int, trained_tokens: int) -> int:
    """Tokens of context of one request.

    Args:
        asked_tokens: By the release; 0 takes the default.
        trained_tokens: What the model was trained for; 0 where its file does not say.
    """
    trained = trained_tokens or UNKNOWN_CONTEXT_TOKENS
    return min(asked_tokens or DEFAULT_CONTEXT_TOKENS, trained)
