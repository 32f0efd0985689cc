"""`[audit]`: one line for each request."""

from __future__ import annotations

from pydantic import Field

from aiconsole.onhost.inferd.settings.table import Table


class AuditSettings(Table):
    """Where the lines go, and what is in them."""

    path: str = Field(default="", pattern=r"^(/.*)?$")
    """Absolute path of a file, which is made with the mode 0600; empty is stdout, which the
    service manager keeps."""
    max_bytes: int = Field(default=64 * 1024 * 1024, ge=4096)
    """Size at which a file is set aside."""
    keep: int = Field(default=5, ge=0, le=1000)
    """Files that are kept beside the one at work."""
    prompts: bool = False
    """Write down what was asked, and not only its hash."""
    max_prompt_chars: int = Field(default=4000, ge=16, le=1_000_000)
