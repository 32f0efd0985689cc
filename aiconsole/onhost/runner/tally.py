"""How many requests were served and failed while one slot took over from another."""

from __future__ import annotations

from typing import Any

from aiconsole.onhost.runner.admin import Admin, NoAnswer
from aiconsole.onhost.wire import HostLayout


class Count:
    """The requests of one slot from now on, even past its end."""

    def __init__(self, layout: HostLayout, slot: str, *, fresh: bool) -> None:
        """Begin to count.

        Args:
            layout: The installation.
            slot: Whose requests.
            fresh: It starts only now, so that everything it serves counts.
        """
        self._admin = Admin(layout, slot)
        self._before = {} if fresh else self.ask()
        self._last = self._before
        self._known = fresh or bool(self._before)

    def ask(self) -> dict[str, Any]:
        """Ask for its status now and remember it; empty where it does not answer."""
        try:
            self._last = self._admin.status()
        except NoAnswer:
            return {}
        return self._last

    def ended(self) -> None:
        """Take the count that it left at its end, where that is of the very same process."""
        tally = self._admin.last_tally()
        if tally.get("instance") and tally.get("instance") == self._last.get("instance"):
            self._last = tally

    def finished(self) -> tuple[int, int]:
        """Requests served and failed since the beginning; zeros where nobody could be asked."""
        if not self._known:
            return 0, 0
        served, failed = (
            number(self._last, key) - number(self._before, key) for key in ("served", "failed")
        )
        return max(0, served), max(0, failed)


def number(document: dict[str, Any], key: str) -> int:
    """A count of a status document; 0 where a damaged one has none: no swap may fail of it."""
    value = document.get(key)
    return value if isinstance(value, int) else 0
