"""The lines that were typed after `:`, newest last."""

from __future__ import annotations

MAX_LINES = 200


class TypedHistory:
    """Walked with the arrows; a line that is typed again moves to the end."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._at = 0

    def add(self, text: str) -> None:
        """Remember a line and go back to the end."""
        text = text.strip()
        if text:
            self._lines = [*(kept for kept in self._lines if kept != text), text][-MAX_LINES:]
        self._at = len(self._lines)

    def step(self, steps: int) -> str:
        """The line that many steps later (or earlier, below zero); empty past the newest."""
        self._at = max(0, min(len(self._lines), self._at + steps))
        return self._lines[self._at] if self._at < len(self._lines) else ""

    def to_end(self) -> None:
        """Begin again at the newest line."""
        self._at = len(self._lines)
