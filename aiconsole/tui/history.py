"""The lines that were typed after `:`, newest last, kept for the next time."""

from __future__ import annotations

from pathlib import Path

from aiconsole import paths

MAX_LINES = 200
MAX_COLUMNS = 1000
"""A longer line is not remembered."""


class TypedHistory:
    """Walked with the arrows; a line that is typed again moves to the end."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lines: list[str] | None = None
        self._at = 0

    def add(self, text: str) -> None:
        """Remember a line and go back to the end; `store` keeps it."""
        text = text.strip()
        if text and len(text) <= MAX_COLUMNS and text.isprintable():
            self._lines = _with(self._known(), text)
        self.to_end()

    def step(self, steps: int) -> str:
        """The line that many steps later (or earlier, below zero); empty past the newest."""
        lines = self._known()
        self._at = max(0, min(len(lines), self._at + steps))
        return lines[self._at] if self._at < len(lines) else ""

    def to_end(self) -> None:
        """Begin again at the newest line."""
        self._at = len(self._known())

    def store(self) -> None:
        """Write the newest line behind those of every console of this user.

        Raises:
            OSError: It cannot be written; the lines are known until the console ends.
        """
        lines = self._known()
        if lines:
            kept = _with(self._read(), lines[-1])
            paths.write_atomic(self._path(), "".join(f"{line}\n" for line in kept).encode())

    def _known(self) -> list[str]:
        if self._lines is None:
            self._lines = self._read()
            self._at = len(self._lines)
        return self._lines

    def _read(self) -> list[str]:
        try:
            text = self._path().read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        lines = [line for line in text.splitlines() if line.isprintable() and line]
        return [line for line in lines if len(line) <= MAX_COLUMNS][-MAX_LINES:]

    def _path(self) -> Path:
        if self._file is None:
            self._file = paths.state_dir() / "typed"
        return self._file


def _with(lines: list[str], text: str) -> list[str]:
    return [*(kept for kept in lines if kept != text), text][-MAX_LINES:]
