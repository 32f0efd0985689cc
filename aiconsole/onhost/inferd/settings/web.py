"""`[tls]`, `[metrics]` and `[cors]`: how the daemon meets the network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiconsole.onhost.inferd.settings.table import Table


class TlsSettings(Table):
    """`[tls]`: a certificate of our own; read again when its files change."""

    certificate_file: str = Field(min_length=1)
    """PEM with the chain."""
    key_file: str = Field(min_length=1)
    minimum: Literal["1.2", "1.3"] = "1.2"


class MetricsSettings(Table):
    """`[metrics]`."""

    compat: list[Literal["vllm"]] = []
    """Further names under which the main series are shown."""


class CorsSettings(Table):
    """`[cors]`: web pages that may ask from a browser; none by default."""

    origins: list[str] = []
    """Such as `https://chat.example.com`; `*` is every one, and then no credentials."""
    max_age_s: int = Field(default=600, ge=0, le=86400)
