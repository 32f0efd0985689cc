"""Under which key an answer is kept: the model, who asks, and everything that shapes the answer."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.exchange import Exchange

_VERSION = b"inferd-key-1\0"
_EXACT = 2.0**53
_PROMPTS = frozenset({"messages", "prompt"})


class Keys:
    """Makes keys for one model."""

    def __init__(self, origin: str) -> None:
        """Begin.

        Args:
            origin: What the answers come from: digest of the model, or its name and release.
        """
        self._base = hashlib.sha256(_VERSION + origin.encode() + b"\0")

    def of(self, ask: Ask, exchange: Exchange, *, shared: bool) -> bytes:
        """The key of one request; its prompt has been digested already."""
        rest = {name: _number(value) for name, value in ask.body.items() if name not in _PROMPTS}
        tenant = "" if shared else exchange.grant.tenant
        # Lengths before contents: no tenant's name can be made to look like something else.
        name = tenant.encode("utf-8", "surrogatepass")
        digest = self._base.copy()
        digest.update(
            b"%s\0%s\0%d\0%s"
            % (ask.kind.encode(), exchange.prompt_sha256.encode(), len(name), name)
        )
        digest.update(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))
        return digest.digest()


def _number(value: Any) -> Any:
    """The same number however it was written: 0 and 0.0 ask for the same."""
    whole = type(value) is float and value.is_integer() and abs(value) < _EXACT
    return int(value) if whole else value
