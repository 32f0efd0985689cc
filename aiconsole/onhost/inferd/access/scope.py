"""What a token's `scope` allows.

Words between spaces, or a list of words: `chat`, `embeddings` and the other endpoints by their
names, `all` for every endpoint, `model:NAME` for a model. A token without the claim may use
everything: who signs it has set no limit. A token with the claim may use the endpoints that it
names and no others, and every model unless it names some. Words that are for somebody else
(`openid`, `profile`) allow nothing.
"""

from __future__ import annotations

from typing import Any

from aiconsole.onhost.wire.endpoints import ENDPOINTS, EVERY_ENDPOINT, MODEL_SCOPE

Limits = tuple["frozenset[str] | None", "frozenset[str] | None"]


def granted(claims: dict[str, Any]) -> Limits:
    """Endpoints and models; None is every one.

    Raises:
        TypeError: The claim is neither a text nor a list of texts.
    """
    # Some identity providers call it `scp`.
    given = claims.get("scope", claims.get("scp"))
    if given is None and "scope" not in claims and "scp" not in claims:
        return None, None
    words = given.split() if isinstance(given, str) else given
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TypeError("scope")
    named = set(words)
    endpoints = None if EVERY_ENDPOINT in named else frozenset(named.intersection(ENDPOINTS))
    models = frozenset(w[len(MODEL_SCOPE) :] for w in named if w.startswith(MODEL_SCOPE))
    return endpoints, models or None
