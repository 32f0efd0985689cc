"""The bounded names of what clients can ask for, as keys and tokens speak of them."""

from __future__ import annotations

ENDPOINTS = (
    "chat",
    "completions",
    "embeddings",
    "models",
    "generate",
    "inference",
    "stream",
    "metrics",
)
"""What the `endpoints` of a key and the `scope` of a token may name."""

MODEL_SCOPE = "model:"
"""Prefix of a word in a token's `scope` that names a model."""

EVERY_ENDPOINT = "all"
"""Word in a token's `scope` that stands for every endpoint."""

MAX_LABEL_CHARS = 256
"""Of the name that a key has in logs."""
