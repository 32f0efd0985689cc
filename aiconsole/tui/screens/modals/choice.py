"""One answer of several."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from aiconsole.tui.present.line import Line, Piece, line
from aiconsole.tui.screens.modals.question import QuestionModal
from aiconsole.visible import visible


class ChoiceModal(QuestionModal):
    """The first choice is the one that Enter takes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor('down')", "Down"),
        Binding("k", "cursor('up')", "Up"),
    ]

    def compose_answer(self) -> ComposeResult:
        """The choices; none of them is read as markup."""
        yield OptionList(*(Option(Text(visible(text))) for text in self.question.choices))

    def keys(self) -> Line:
        """What to press."""
        return line(
            Piece("↑ ↓", "accent"), " choose   ", Piece("Enter", "accent"), " take it   ",
            Piece("Esc", "accent"), " turn away",
        )  # fmt: skip

    def action_cursor(self, direction: str) -> None:
        """Move as the arrows do."""
        choices = self.query_one(OptionList)
        if direction == "down":
            choices.action_cursor_down()
        else:
            choices.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.question.choices[event.option_index])
