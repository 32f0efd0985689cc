"""Where answers are kept: what every backend promises."""

from __future__ import annotations

from typing import Any, Protocol

from aiconsole.onhost.inferd.cache.entry import Entry


class StoreGoneError(Exception):
    """The store cannot be asked now; the answer has to be computed."""


class Store(Protocol):
    """Keeps entries by their key for a time; may forget any of them earlier."""

    @property
    def fault(self) -> str:
        """Why it does not do what it should, in plain words; empty while it does."""

    @property
    def up(self) -> bool:
        """Whether it can be asked."""

    async def get(self, key: bytes) -> Entry | None:
        """The entry, or None.

        Raises:
            StoreGoneError: It cannot be asked.
        """

    async def put(self, key: bytes, entry: Entry, ttl_s: float) -> None:
        """Keep an entry; one that cannot be kept is no error."""

    def status(self) -> dict[str, Any]:
        """What the operator may want to know of it."""

    async def close(self) -> None:
        """Let go of what is open."""
