"""`[[smoke]]` and `[watch]`: the tables of an operator's settings that are the console's own."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from aiconsole.errors import SettingsError
from aiconsole.onhost.wire import SmokePrompt, line_of

FOREIGN = ("smoke", "watch")
"""Names of the tables, which the daemon does not know."""

DEFAULT_WATCH_S = 10.0
LONGEST_WATCH_S = 3600.0


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return text


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Smoke(_Table):
    """`[[smoke]]`: a question that a release must answer before it serves."""

    prompt: str = Field(min_length=1, max_length=100_000)
    expect: str = ""
    """Text that the answer must hold."""
    matches: Annotated[str, AfterValidator(_pattern)] = ""
    """Regular expression that must be found in the answer."""
    max_tokens: int = Field(default=64, ge=1, le=4096)
    chat: bool = True
    """Asked as a chat; false has the prompt continued."""
    timeout_s: float = Field(default=60.0, gt=0, le=3600, strict=False)


class WatchTable(_Table):
    """`[watch]`: how long a release is looked at after it took over, and what is too bad."""

    seconds: float = Field(default=DEFAULT_WATCH_S, ge=0, le=LONGEST_WATCH_S, strict=False)
    """0 turns it off."""
    max_failed_ratio: float = Field(default=0.1, ge=0, le=1, strict=False)
    min_requests: int = Field(default=20, ge=1, le=1_000_000)


class OwnTables(_Table):
    """Both."""

    smoke: list[Smoke] = Field(default=[], max_length=100)
    watch: WatchTable = WatchTable()

    @property
    def prompts(self) -> tuple[SmokePrompt, ...]:
        """The smoke prompts as a plan has them."""
        return tuple(SmokePrompt(**smoke.model_dump()) for smoke in self.smoke)


def own_tables(name: str, text: str, tree: dict[str, Any]) -> OwnTables:
    """Take the console's tables out of a file that has been parsed.

    Raises:
        SettingsError: With file, line, and what was expected.
    """
    try:
        return OwnTables.model_validate({key: tree[key] for key in FOREIGN if key in tree})
    except ValidationError as error:
        faults = [_told(name, text, fault) for fault in error.errors()]
        raise SettingsError("The settings cannot be used", "; ".join(faults)) from error


def _told(name: str, text: str, fault: Any) -> str:
    keys = [str(part) for part in fault["loc"]]
    told = "not a known key" if fault["type"] == "extra_forbidden" else fault["msg"]
    return f"{name}:{line_of(text, keys)}: {'.'.join(keys)}: {told}"
