"""The line after `:`, with completion and history, over whatever is shown."""

from __future__ import annotations

from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from aiconsole.tui.commands import registry
from aiconsole.tui.commands.console import Console
from aiconsole.tui.commands.typed import completions
from aiconsole.tui.history import TypedHistory
from aiconsole.tui.present.line import Line, Piece, line
from aiconsole.tui.widgets.rows import Texts


class CommandLineScreen(ModalScreen[str | None]):
    """Gives back the typed line, or None where the operator turned away."""

    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "turn_away", "Close"),
        Binding("tab", "complete(1)", "Complete", priority=True),
        Binding("shift+tab", "complete(-1)", "Complete backwards", priority=True),
        Binding("up", "recall(-1)", "Earlier line", priority=True),
        Binding("down", "recall(1)", "Later line", priority=True),
    ]

    entry = getters.query_one(Input)
    hints = getters.query_one("#hints", Texts)

    def __init__(self, console: Console, history: TypedHistory) -> None:
        super().__init__()
        self._desk = console
        self._history = history
        self._found: tuple[str, ...] = ()
        self._at = -1

    def compose(self) -> ComposeResult:
        """What could come next, and the line itself."""
        with Vertical(id="command-box"):
            yield Texts(id="hints")
            yield Input(id="command", placeholder="deploy web1")

    def on_mount(self) -> None:
        """Show what can be typed."""
        self._show_hints("")

    def action_turn_away(self) -> None:
        """Close without doing anything."""
        self.dismiss(None)

    def action_complete(self, step: int) -> None:
        """Put the next completion into the line."""
        if not self._found:
            return
        self._at = (self._at + step) % len(self._found)
        self._put(self._found[self._at])
        if len(self._found) == 1:
            self._put(self._found[0] + " ")
            self._search(self.entry.value)

    def action_recall(self, step: int) -> None:
        """Bring back what was typed before."""
        self._put(self._history.step(step))
        self._search(self.entry.value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if 0 <= self._at < len(self._found) and event.value == self._found[self._at]:
            self._show_hints(event.value)
        else:
            self._search(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self._history.add(event.value)
        self.dismiss(event.value.strip() or None)

    def _put(self, text: str) -> None:
        self.entry.value = text
        self.entry.cursor_position = len(text)

    def _search(self, text: str) -> None:
        self._found, self._at = completions(text, self._desk), -1
        self._show_hints(text)

    def _show_hints(self, text: str) -> None:
        self.hints.show((self._hint_line(text),))

    def _hint_line(self, text: str) -> Line:
        if not self._found and not text:
            self._found = completions("", self._desk)
        command = registry.by_word(text.split()[0], self._desk.view_name) if text.split() else None
        pieces: list[Piece | str] = [" "]
        if command is not None and " " in text:
            pieces += [Piece(f"{command.usage}  ", "strong"), Piece(f"{command.tooltip}  ", "dim")]
        for number, found in enumerate(self._found):
            word = found.rpartition(" ")[2]
            pieces += [Piece(word, "accent" if number == self._at else "dim"), "  "]
        return line(*pieces)
