"""The line at the lower edge in which a filter is typed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class FilterLine(Input):
    """Filters while it is typed; Enter keeps the filter, Esc takes it away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "drop", "Take the filter away"),
        Binding("enter,down", "keep", "Keep the filter"),
    ]
    DEFAULT_CSS = """
    FilterLine {
        dock: bottom; height: 1; border: none; padding: 0 1; background: $panel;
        margin: 0 0 1 0;
    }
    FilterLine:focus { border: none; }
    """

    class Closed(Message):
        """The operator is done with the line."""

    def __init__(self) -> None:
        super().__init__(placeholder="words that a row must hold, !word to leave out")
        self.display = False

    def open(self, text: str) -> None:
        """Show the line with what was typed last."""
        self.value = text
        self.cursor_position = len(text)
        self.display = True
        # At once, not with the next turn: what is typed after `/` must never act as keys.
        self.screen.set_focus(self)

    def action_drop(self) -> None:
        """Take the filter away and close."""
        self.value = ""
        self._close()

    def action_keep(self) -> None:
        """Close and keep the filter."""
        self._close()

    def _close(self) -> None:
        self.display = False
        self.post_message(self.Closed())
