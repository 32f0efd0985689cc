"""Real GGUF files that differ from each other: the built-in model with bytes behind its end."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aiconsole.bundle.builtin import BUILTIN


def gguf_bytes(tail: bytes = b"") -> bytes:
    return BUILTIN.path.read_bytes() + tail


def write_gguf(path: Path, tail: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes(tail))
    return path


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
