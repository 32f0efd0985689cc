"""A JSON object that names a key twice: two readers may see two different requests in it.

A filter in front of the daemon that takes the first `model` would have checked another request
than the one that is served. So it is refused, at the top, where all that decides anything is.
"""

from __future__ import annotations

import json
from functools import lru_cache
from json.decoder import scanstring  # type: ignore[attr-defined]  # undocumented, and there

_MANY_BYTES = 64 * 1024
_MANY_KEYS = 32
_DECODER = json.JSONDecoder()
_BLANK = " \t\n\r"


def has_duplicates(data: bytes, keys: list[str]) -> bool:
    """Whether a key comes twice at the top of an object.

    Args:
        data: Valid JSON, an object.
        keys: The keys that a lenient reader found in it.

    Returns:
        True also for what cannot be told: a key or value that only a lenient reader takes.

    Raises:
        RecursionError: It nests too deeply to be looked through.
    """
    if len(data) <= _MANY_BYTES and len(keys) <= _MANY_KEYS and b"\\u" not in data:
        # A quote within a text has a backslash before it, so a key in quotes that is there once
        # is that key and nothing else.
        for key in keys:
            if data.count(_quoted(key)) > 1:
                break
        else:
            return False
    try:
        return len(_walk(data.decode())) != len(keys)
    except (ValueError, IndexError):
        return True


@lru_cache(maxsize=256)
def _quoted(key: str) -> bytes:
    return b'"%s"' % key.encode()


def _walk(text: str) -> list[str]:
    """Every key at the top, in order; values are skipped without a look at what they hold."""
    found: list[str] = []
    at = _past_blank(text, 0) + 1
    while text[at := _past_blank(text, at)] != "}":
        if text[at] == ",":
            at = _past_blank(text, at + 1)
        key, at = scanstring(text, at + 1, False)
        found.append(key)
        at = _past_blank(text, _past_blank(text, at) + 1)
        _, at = _DECODER.raw_decode(text, at)
    return found


def _past_blank(text: str, at: int) -> int:
    while text[at] in _BLANK:
        at += 1
    return at
