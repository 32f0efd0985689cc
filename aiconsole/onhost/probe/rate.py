"""Rates out of counters that may start again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Point:
    at_s: float
    count: float


class Rates:
    """Remembers the last count of each name and gives the increase a second since then."""

    def __init__(self) -> None:
        self._last: dict[str, _Point] = {}

    def per_s(self, name: str, count: float | None, now_s: float) -> float | None:
        """The rate of a counter, None where it is not known.

        Args:
            name: Which counter.
            count: What it stands at; None forgets it.
            now_s: Monotonic time of the reading.

        It is unknown for the first count, and after the counter went back: it was reset, and
        what happened between is lost.
        """
        before = self._last.get(name)
        if count is None:
            self._last.pop(name, None)
            return None
        self._last[name] = _Point(now_s, count)
        if before is None or count < before.count or now_s <= before.at_s:
            return None
        return (count - before.count) / (now_s - before.at_s)

    def forget(self) -> None:
        """Start again: the counters belong to somebody else now."""
        self._last.clear()
