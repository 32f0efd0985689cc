"""Styled text, before any widget: a line is pieces, a piece is text and the name of a style."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rich.cells import cell_len, set_cell_size

from aiconsole.visible import visible

StyleName: TypeAlias = Literal[
    "", "dim", "strong", "accent", "good", "warn", "bad", "head", "add", "del", "alarm"
]
"""What a piece means; the theme says what it looks like. `good`, `warn` and `bad` are for states
only, and always stand beside a glyph or a word that says the same."""

STYLE_NAMES: tuple[StyleName, ...] = (
    "dim", "strong", "accent", "good", "warn", "bad", "head", "add", "del", "alarm",
)  # fmt: skip

Align: TypeAlias = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one style. Control characters are spelled out here, so that no caller can forget."""

    text: str
    style: StyleName = ""

    def __post_init__(self) -> None:
        if not self.text.isprintable():
            object.__setattr__(self, "text", visible(self.text))

    @property
    def columns(self) -> int:
        """Width on the screen."""
        return cell_len(self.text)


Line: TypeAlias = tuple[Piece, ...]


def line(*parts: Piece | str) -> Line:
    """Make a line of pieces and plain texts."""
    return tuple(Piece(part) if isinstance(part, str) else part for part in parts)


def text_of(pieces: Iterable[Piece]) -> str:
    """The line without its styles."""
    return "".join(piece.text for piece in pieces)


def columns_of(pieces: Iterable[Piece]) -> int:
    """Width of a line on the screen."""
    return sum(piece.columns for piece in pieces)


def fit(text: str, columns: int, align: Align = "left") -> str:
    """Make text exactly `columns` wide; what is cut off leaves an ellipsis."""
    text = visible(text)
    width = cell_len(text)
    if width > columns:
        return set_cell_size(text, columns - 1) + "…" if columns > 0 else ""
    padding = " " * (columns - width)
    return padding + text if align == "right" else text + padding


def fit_line(pieces: Line, columns: int) -> Line:
    """Make a line exactly `columns` wide."""
    kept: list[Piece] = []
    left = columns
    for piece in pieces:
        if piece.columns > left:
            kept.append(Piece(fit(piece.text, left), piece.style))
            return tuple(kept)
        kept.append(piece)
        left -= piece.columns
    return (*kept, Piece(" " * left)) if left else tuple(kept)


def spread(left: Line, right: Line, columns: int) -> Line:
    """Put one line at the left and one at the right edge; the left one gives way."""
    room = max(0, columns - columns_of(right))
    return (*fit_line(left, room), *fit_line(right, columns - room))


def flow(columns: int, *groups: Line) -> tuple[Line, ...]:
    """Put groups beside each other, and those that do not fit any more on the next line."""
    lines: list[Line] = []
    for group in groups:
        if not group:
            continue
        if lines and columns_of(lines[-1]) + 2 + columns_of(group) <= columns:
            lines[-1] = (*lines[-1], Piece("  "), *group)
        else:
            lines.append(group)
    return tuple(lines)


def muted(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The same without any emphasis: it was true once, and may not be now."""
    return tuple(tuple(Piece(piece.text, "dim") for piece in pieces) for pieces in lines)
