"""A file to download, and how long a bad line or a busy server is put up with."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiconsole.secret import Secret


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a bad line or a busy server is put up with."""

    tries: int = 6
    """In a row that bring nothing."""
    idle_s: float = 60.0
    """Without a byte, after which the line counts as cut."""
    pause_s: float = 1.0
    """Before the second try; it doubles with each one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file behind an address, and what is known of it before."""

    url: str
    size_bytes: int = 0
    """0 where it is not known."""
    sha256: str = ""
    """Lets a download go on even where the server does not name its bytes."""
    token: Secret | None = field(default=None)
    """Bearer token for the address's own server; no other one gets it."""
