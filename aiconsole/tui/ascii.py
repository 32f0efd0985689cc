"""For terminals without UTF-8: each drawn character becomes one of ASCII, at the last moment."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from aiconsole.tui.present.charset import to_ascii


class AsciiFilter(LineFilter):
    """Runs over every line of the whole screen, so that no widget has to think of it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Translate the text of each segment, and of each control none."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
