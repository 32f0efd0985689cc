"""`[tls]`, `[metrics]` and `[cors]`: how the daemon meets the network."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

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


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"https?://[a-z0-9.\[\]:_-]+", text):
        raise ValueError(
            "must be an origin as a browser sends it, such as https://chat.example.com: in small "
            "letters, without a path"
        )
    return text


class CorsSettings(Table):
    """`[cors]`: web pages that may ask from a browser; none by default."""

    origins: list[Annotated[str, AfterValidator(_origin)]] = []
    """Such as `https://chat.example.com`; `*` is every one, and then no credentials."""
    max_age_s: float = Field(default=600.0, ge=0, le=86400)
    """How long a browser may remember what it was told."""
