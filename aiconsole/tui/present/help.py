"""The page that says what the keys do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiconsole.tui.present.fleet_columns import DROP_ORDER
from aiconsole.tui.present.line import Line, Piece, fit, line, text_of
from aiconsole.tui.present.wrap import wrap

_KEYS = 20
_USAGE = 30


@dataclass(frozen=True, slots=True)
class HelpEntry:
    """One key or one typed command."""

    key: str
    text: str
    refusal: str = ""
    """Why it cannot be used now."""


def help_lines(
    keys: Sequence[HelpEntry], moves: Sequence[HelpEntry], typed: Sequence[HelpEntry], columns: int
) -> tuple[Line, ...]:
    """Keys of commands, keys of the panel that has the focus, and what can be typed."""
    lines: list[Line] = [line(Piece("Keys here", "head"))]
    lines += _entries(keys, _KEYS, columns)
    lines += [(), line(Piece("In this panel", "head"))]
    lines += _entries(moves, _KEYS, columns)
    lines += [(), line(Piece("Typed after :", "head"))]
    lines += _entries(typed, min(_USAGE, columns // 2), columns)
    lines += [(), line(Piece("Signs", "head")), *_signs(columns)]
    return tuple(lines)


def _entries(entries: Sequence[HelpEntry], width: int, columns: int) -> list[Line]:
    lines: list[Line] = []
    for entry in entries:
        text = f"{entry.text} Not now: {entry.refusal}." if entry.refusal else entry.text
        parts = wrap(text, max(10, columns - width - 2), "dim" if entry.refusal else "")
        for number, part in enumerate(parts):
            left = fit(f"  {entry.key}", width) if number == 0 else " " * width
            lines.append((Piece(left, "accent"), Piece("  "), *part))
    return lines


def _signs(columns: int) -> list[Line]:
    signs = (
        ("●", "up or ready"), ("◐", "stale: the reading is older than two refresh intervals"),
        ("✗", "not reached, an error, or older than five intervals"),
        ("▲", "needs a look"), ("◌", "on its way"), ("◆", "marked"),
        ("-", "not known; a 0 was measured"),
    )  # fmt: skip
    lines: list[Line] = [(Piece(f"  {glyph} ", "accent"), Piece(text)) for glyph, text in signs]
    order = ", ".join(name for name in DROP_ORDER)
    text = f"On a narrow terminal the fleet leaves out, in this order: {order}."
    lines += [(), *(line("  ", Piece(text_of(part), "dim")) for part in wrap(text, columns - 2))]
    return lines
