"""`[cache]`: answers that are given again."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, model_validator

from aiconsole.onhost.inferd.settings.table import CredentialName, Table


class CacheSettings(Table):
    """Exact answers to the very same request of the same client."""

    backend: Literal["off", "memory", "redis"] = "off"
    ttl_s: float = Field(default=3600.0, gt=0)
    max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Of the memory backend; the answer that was not asked for the longest goes first."""
    max_entry_bytes: int = Field(default=1024 * 1024, ge=1024)
    """A longer answer is not kept."""
    shared: bool = False
    """Whether clients get each other's answers."""
    redis_url: str = Field(default="", pattern=r"^((redis|rediss|unix)://[^\s]+)?$")
    """Without a password; that is a credential."""
    redis_password: CredentialName | None = None
    """Name of the credential with Redis' password."""
    redis_timeout_s: float = Field(default=0.25, gt=0)
    """How long Redis may take; a slower one counts as gone."""

    @model_validator(mode="after")
    def _redis_can_be_asked(self) -> CacheSettings:
        if self.backend == "redis" and not self.redis_url:
            raise ValueError("cache.redis_url is needed by the backend `redis`")
        parts = urlsplit(self.redis_url)
        if parts.password or "password" in parse_qs(parts.query):
            raise ValueError(
                "cache.redis_url holds a password; it belongs into the credential that "
                "cache.redis_password names"
            )
        return self
