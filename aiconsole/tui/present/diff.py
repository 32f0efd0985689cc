"""A unified diff in colours that its own signs repeat."""

from __future__ import annotations

from aiconsole.tui.present.line import Line, Piece, StyleName
from aiconsole.visible import visible_lines

MAX_LINES = 400
"""Of one file; a longer diff says how much it leaves out."""


def diff_lines(diff: str, indent: int = 4) -> tuple[Line, ...]:
    """One line for each of the diff."""
    source = visible_lines(diff)
    shown = tuple((Piece(" " * indent), Piece(text, _style(text))) for text in source[:MAX_LINES])
    if len(source) > MAX_LINES:
        rest = f"… and {len(source) - MAX_LINES} more lines"
        return (*shown, (Piece(" " * indent), Piece(rest, "dim")))
    return shown


def _style(text: str) -> StyleName:
    if text.startswith(("---", "+++")):
        return "strong"
    if text.startswith("@@"):
        return "dim"
    if text.startswith("+"):
        return "add"
    return "del" if text.startswith("-") else "dim"
