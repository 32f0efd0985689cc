"""From styled text to what Textual draws; the only way for a host's text onto the screen."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from aiconsole.tui.present.line import STYLE_NAMES, Line, StyleName
from aiconsole.visible import visible

COMPONENT_CLASSES = frozenset(f"t-{name}" for name in STYLE_NAMES)
"""Component classes that a widget needs in order to paint lines; `theme.tcss` styles them."""


def style_of(widget: Widget, name: StyleName) -> Style:
    """The theme's look of a style name, without a background."""
    if not name:
        return Style.null()
    return widget.get_component_rich_style(f"t-{name}", partial=True)


def segments(widget: Widget, pieces: Line, base: Style) -> list[Segment]:
    """Paint a line over a base style; under a reversed base the pieces keep its colours."""
    if base.reverse:
        return [Segment(piece.text, base) for piece in pieces]
    return [Segment(piece.text, base + style_of(widget, piece.style)) for piece in pieces]


def title(text: str) -> Text:
    """A text for the border of a panel; nothing in it is read as markup."""
    return Text(visible(text) or " ")
