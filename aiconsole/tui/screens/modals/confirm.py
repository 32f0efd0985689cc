"""Yes or no; on a protected host yes is its typed name."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from aiconsole.question import Question
from aiconsole.tui.present.line import Line, Piece, line
from aiconsole.tui.screens.modals.question import QuestionModal


class ConfirmModal(QuestionModal):
    """Names host and effect; Enter alone never says yes to something dangerous."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n", "answer(False)", "No"),
        Binding("enter", "enter", "Yes, where nothing is interrupted"),
        Binding("j,down", "scroll_behind('down')", "Scroll what is behind down"),
        Binding("k,up", "scroll_behind('up')", "Scroll what is behind up"),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__(question)
        self._name = question.typed_name

    def compose_answer(self) -> ComposeResult:
        """A place for the name, where one must be typed."""
        if self._name:
            yield Input(placeholder=f"type {self._name} to say yes", id="name")

    def keys(self) -> Line:
        """What to press."""
        if self._name:
            return line(
                "Type ", Piece(self._name, "strong"), " and press ", Piece("Enter", "accent"),
                " to say yes   ", Piece("Esc", "accent"), " no",
            )  # fmt: skip
        yes = (Piece("y", "accent"), Piece(" yes   "))
        return (*yes, Piece("n", "accent"), Piece(" no   "), Piece("PgDn PgUp", "accent"),
                Piece(" read what is behind"))  # fmt: skip

    def action_answer(self, yes: bool) -> None:
        """A key said it; a protected host wants more than a key."""
        if not (yes and self._name):
            self.dismiss(yes)

    def action_enter(self) -> None:
        """Enter is a yes only where nobody would notice."""
        if not self.question.danger and not self._name:
            self.dismiss(True)

    @on(Input.Submitted, "#name")
    def _typed(self, event: Input.Submitted) -> None:
        if event.value.strip() == self._name:
            self.dismiss(True)
        else:
            self.notify(
                f"{event.value!r} is not {self._name!r}", title="Not confirmed",
                severity="warning", markup=False,
            )  # fmt: skip
