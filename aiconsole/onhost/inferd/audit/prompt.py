"""What was asked: its digest always, its text only where the operator wants it."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from aiconsole.onhost.inferd.exchange import Exchange

_BYTES_PER_CHAR = 4


def note_prompt(exchange: Exchange, prompt: Any, chars: int) -> None:
    """Put down what is asked; the cache takes its key from the same digest.

    Args:
        exchange: Where it is put down.
        prompt: Messages, a text, or a list of texts or of token numbers.
        chars: How much of the text the audit wants; 0 is none.
    """
    canonical = orjson.dumps(prompt, option=orjson.OPT_SORT_KEYS)
    exchange.prompt_sha256 = hashlib.sha256(canonical).hexdigest()
    if not chars:
        return
    if isinstance(prompt, str):
        exchange.prompt = prompt[:chars]
    else:
        exchange.prompt = canonical[: _BYTES_PER_CHAR * chars].decode("utf-8", "ignore")[:chars]
