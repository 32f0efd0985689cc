"""Answers in this process: bounded in bytes, what was not asked for the longest goes first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from aiconsole.onhost.inferd.cache.entry import Entry

OVERHEAD_BYTES = 640
"""Of an entry beside its text: key, objects, and its place in the table."""


class MemoryStore:
    """One table; gone with the process."""

    up = True
    fault = ""

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[Entry, float]] = OrderedDict()
        self.used_bytes = 0
        """Of all entries, with what holds them."""

    async def get(self, key: bytes) -> Entry | None:
        """The entry, if it is there and not too old."""
        found = self._entries.get(key)
        if found is None:
            return None
        entry, ends = found
        if self._clock() >= ends:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    async def put(self, key: bytes, entry: Entry, ttl_s: float) -> None:
        """Keep it, and forget others where they do not fit together."""
        self._drop(key)
        if _size(entry) > self._max_bytes:
            return
        self._entries[key] = (entry, self._clock() + ttl_s)
        self.used_bytes += _size(entry)
        self._shrink()

    def resize(self, max_bytes: int) -> None:
        """Another bound from now on."""
        self._max_bytes = max_bytes
        self._shrink()

    def status(self) -> dict[str, Any]:
        """How full it is."""
        return {
            "entries": len(self._entries),
            "bytes": self.used_bytes,
            "max_bytes": self._max_bytes,
        }

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.used_bytes = 0

    def _shrink(self) -> None:
        while self.used_bytes > self._max_bytes:
            _, (entry, _) = self._entries.popitem(last=False)
            self.used_bytes -= _size(entry)

    def _drop(self, key: bytes) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self.used_bytes -= _size(found[0])


def _size(entry: Entry) -> int:
    return len(entry.body) + OVERHEAD_BYTES
