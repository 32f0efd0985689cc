"""A line to type: a name, or a secret that shows as dots."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from aiconsole.secret import Secret
from aiconsole.tui.present.line import Line, Piece, line
from aiconsole.tui.screens.modals.question import QuestionModal


class EntryModal(QuestionModal):
    """Takes a text; a secret leaves this screen only as a `Secret`."""

    def compose_answer(self) -> ComposeResult:
        """The place to type in."""
        yield Input(password=self.question.kind == "secret", id="entry")

    def keys(self) -> Line:
        """What to press."""
        return line(Piece("Enter", "accent"), " go on   ", Piece("Esc", "accent"), " turn away")

    @on(Input.Submitted, "#entry")
    def _typed(self, event: Input.Submitted) -> None:
        value = event.value
        if self.question.kind == "secret":
            event.input.clear()
            self.dismiss(Secret(value))
        elif value.strip():
            self.dismiss(value.strip())
