"""What every modal that answers a question has: title, detail, and a way to turn away."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from aiconsole.question import Answer, Question
from aiconsole.tui.present.line import Line, Piece, line
from aiconsole.tui.present.wrap import wrap
from aiconsole.tui.widgets import paint
from aiconsole.tui.widgets.rows import Texts


class QuestionModal(ModalScreen[Answer]):
    """A question at the lower edge, so that what it is about stays in sight and can be scrolled."""

    CSS_PATH = "modals.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "turn_away", "Turn away: nothing is changed"),
        Binding("pageup", "scroll_behind('page_up')", "Scroll what is behind up"),
        Binding("pagedown", "scroll_behind('page_down')", "Scroll what is behind down"),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        """Title, detail, the widget that takes the answer, the keys."""
        with Vertical(classes="question -danger" if self.question.danger else "question") as box:
            box.border_title = paint.title(self.question.title)
            yield Texts(id="detail")
            yield from self.compose_answer()
            yield Texts(id="keys")

    def on_resize(self) -> None:
        """Wrap the detail for this width; a long one leaves the answer its place."""
        width = max(20, self.size.width - 6)
        # A title that the border would cut is read whole below it.
        whole = self.question.title if len(self.question.title) > width - 2 else ""
        lines = wrap("\n".join(filter(None, (whole, self.question.detail))), width)
        detail = self.query_one("#detail", Texts)
        detail.styles.height = min(len(lines), max(1, self.size.height // 2 - 6))
        detail.display = bool(lines)
        detail.show(lines)
        keys = self.query_one("#keys", Texts)
        keys.styles.height = 1
        keys.show((self.keys(),))

    def compose_answer(self) -> ComposeResult:
        """The widgets that take the answer."""
        yield from ()

    def keys(self) -> Line:
        """What to press."""
        return line(Piece("Esc", "accent"), " turn away")

    def action_turn_away(self) -> None:
        """No answer is a no."""
        self.dismiss(None)

    def action_scroll_behind(self, direction: str) -> None:
        """Scroll the screen below, where the plan is."""
        below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else None
        target: Widget | None = below.focused if below is not None else None
        if target is not None:
            getattr(target, f"scroll_{direction}")(animate=False)
