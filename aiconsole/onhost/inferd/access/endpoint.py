"""Which path belongs to which endpoint: known before the router sees the request.

Router and gate look at the same text, the path as it was decoded once, and neither tidies it up:
`//health`, `/health/` and `/health/../v1/models` are no path of the table, so they are protected.
"""

from __future__ import annotations

OTHER = "other"
"""Whatever the table does not know: never public, and closed to who may use some endpoints only."""

_MODELS = "/v1/models"
_PATHS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    _MODELS: "models",
    "/v1/generate": "generate",
    "/v1/inference": "inference",
    "/v1/stream": "stream",
    "/metrics": "metrics",
    "/metrics/engine": "metrics",
    "/health": "health",
    "/ready": "ready",
    "/openapi.json": "openapi",
    "/docs": "docs",
}
UNSCOPED = frozenset({"health", "ready", "openapi", "docs"})
"""They give away nothing that a key or a token could be kept from."""
PROBES = frozenset({"health", "ready", "metrics"})
"""What watches the service reads on this very machine; that needs no key."""


def endpoint_of(path: str) -> str:
    """Bounded name of a path."""
    found = _PATHS.get(path)
    if found is not None:
        return found
    return "models" if path.startswith(_MODELS + "/") else OTHER


def is_public(path: str, public: frozenset[str]) -> bool:
    """Whether one of these routes is this path; a model by its name goes with the list."""
    return path in public or (_MODELS in public and path.startswith(_MODELS + "/"))
