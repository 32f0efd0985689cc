"""Who asks, and what they may: the outcome of a key, a token, or of none being needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aiconsole.onhost.inferd.access.endpoint import UNSCOPED
from aiconsole.onhost.inferd.errors import ApiError


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

    def check_endpoint(self, endpoint: str) -> None:
        """Refuse what it may not use.

        Raises:
            ApiError: 403, with what it may use.
        """
        if self.endpoints is None or endpoint in self.endpoints or endpoint in UNSCOPED:
            return
        allowed = ", ".join(sorted(self.endpoints)) or "nothing"
        raise forbidden(
            f"Who asks here may not use this endpoint, only: {allowed}.",
            code="endpoint_not_allowed",
        )

    def visible(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these models that it may ask for."""
        return tuple(n for n in names if self.models is None or n in self.models)


def forbidden(message: str, *, code: str) -> ApiError:
    """Known, and still not allowed."""
    return ApiError(403, message, kind="permission_error", code=code)


NOBODY = Grant()
"""Where no key is needed."""
