"""Long text in lines of a given width."""

from __future__ import annotations

import textwrap

from aiconsole.tui.present.line import Line, Piece, StyleName
from aiconsole.visible import visible_lines


def wrap(text: str, columns: int, style: StyleName = "") -> tuple[Line, ...]:
    """Break text at spaces; its own line ends and leading spaces stay."""
    wrapped: list[Line] = []
    for source in visible_lines(text):
        indent = " " * (len(source) - len(source.lstrip(" ")))
        parts = textwrap.wrap(
            source, max(1, columns), subsequent_indent=indent[: columns // 2],
            break_long_words=True, break_on_hyphens=False,
        )  # fmt: skip
        wrapped += [(Piece(part, style),) for part in parts or [""]]
    return tuple(wrapped)
