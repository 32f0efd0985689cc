"""`[model]`: the one model that is served."""

from __future__ import annotations

from pydantic import Field

from aiconsole.onhost.inferd.settings.table import Table


class ModelSettings(Table):
    """What clients ask for, and the file behind it where there is one."""

    name: str = Field(min_length=1, max_length=200)
    """What clients call it."""
    aliases: list[str] = []
    """Further names under which clients may ask for the same model."""
    path: str = ""
    """Absolute path of the GGUF file; needed by the engine `llama` alone."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    size_bytes: int = Field(default=0, ge=0)
    """Size that the file must have; 0 is any."""
