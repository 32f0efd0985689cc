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


_MEMORY_PER_BYTE = 1.1
"""Memory of an engine for each byte of the file, without the context (measured with Q8_0)."""

_REPACKED_PER_BYTE = 1.1
"""The second copy that llama.cpp makes of Q4_0 tensors: 620 MB took 1.36 GB (measured)."""

_ENGINE_BYTES = 45_000_000
"""Of an engine with a model of almost no size (measured)."""


def weights_memory_bytes(file_bytes: int, q4_0_bytes: int) -> int:
    """Memory of an engine that has loaded a model, without the context.

    Args:
        file_bytes: Size of the model's file.
        q4_0_bytes: Of the tensors in it that are Q4_0.
    """
    return int(file_bytes * _MEMORY_PER_BYTE + q4_0_bytes * _REPACKED_PER_BYTE) + _ENGINE_BYTES
