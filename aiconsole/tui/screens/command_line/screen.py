"""The line after `:`, with completion and history, over whatever is shown."""

from __future__ import annotations

import asyncio
import threading
from typing import ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input

from aiconsole.models.find import model_names
from aiconsole.tui.commands import registry
from aiconsole.tui.commands.console import Console
from aiconsole.tui.commands.path_names import path_names
from aiconsole.tui.commands.typed import completions, open_word
from aiconsole.tui.history import TypedHistory
from aiconsole.tui.present.completion import candidate_line, refusal_lines, usage_lines
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

    def __init__(
        self, console: Console, history: TypedHistory, text: str = "", refusal: str = ""
    ) -> None:
        super().__init__()
        self._desk = console
        self._history = history
        self._text = text
        self._refusal = refusal
        self._found: tuple[str, ...] = ()
        self._at = -1
        self._composed = False
        self._early: list[Key] = []
        self._paths: dict[str, tuple[str, ...]] = {}
        """What was read from the disk, by the text of the path."""

    def compose(self) -> ComposeResult:
        """What could come next, and the line itself."""
        with Vertical(id="command-box"):
            yield Texts(id="hints")
            yield Input(self._text, id="command", placeholder="deploy web1", select_on_focus=False)

    def on_mount(self) -> None:
        """Show what can be typed, or what was wrong with it."""
        self.entry.cursor_position = len(self._text)
        self.search()
        self._composed = True
        for event in self._early:
            self.take(event)

    def on_key(self, event: Key) -> None:
        """Keys of fast hands, or of a pasted command, come before the line has the focus."""
        if self.focused is not self.entry:
            self.take(event)
            event.stop()

    def take(self, event: Key) -> None:
        """Take a key that was pressed before the line was there."""
        if not self._composed:
            self._early.append(event)
        elif event.key == "enter":
            self._send(self.entry.value)
        elif event.is_printable and event.character:
            self.entry.insert_text_at_cursor(event.character)

    def on_resize(self) -> None:
        """Lay the hints out for this width."""
        self._show_hints()

    def action_turn_away(self) -> None:
        """Close without doing anything."""
        self.dismiss(None)

    def action_complete(self, step: int) -> None:
        """Put the next completion into the line."""
        if not self._found:
            return
        self._at = (self._at + step) % len(self._found)
        only = self._found[self._at]
        if len(self._found) > 1:
            self._put(only)
        else:
            self._put(only if only.endswith(("/", "=")) else f"{only} ")
            self.search()

    def action_recall(self, step: int) -> None:
        """Bring back what was typed before."""
        self._put(self._history.step(step))
        self.search()

    def search(self) -> None:
        """Look for what the line could go on with."""
        text = self.entry.value
        self._found, self._at = completions(text, self._desk, self._paths_of), -1
        self._show_hints()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if event.value != self._text:
            self._refusal = ""
        if 0 <= self._at < len(self._found) and event.value == self._found[self._at]:
            self._show_hints()
        else:
            self.search()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self._send(event.value)

    def _send(self, text: str) -> None:
        self._desk.remember(text)
        self.dismiss(text.strip() or None)

    def _put(self, text: str) -> None:
        self.entry.value = text
        self.entry.cursor_position = len(text)

    def _paths_of(self, text: str) -> tuple[str, ...]:
        if text not in self._paths:
            self._paths[text] = ()
            loop = asyncio.get_running_loop()
            # A thread of its own that nobody waits for: a directory can hang for ever.
            threading.Thread(target=self._read_paths, args=(text, loop), daemon=True).start()
        return self._paths[text]

    def _read_paths(self, text: str, loop: asyncio.AbstractEventLoop) -> None:
        names = (*model_names(text), *path_names(text))
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._paths_read, text, names)

    def _paths_read(self, text: str, names: tuple[str, ...]) -> None:
        self._paths[text] = names
        if self.is_attached:
            self.search()

    def _show_hints(self) -> None:
        columns = self.size.width
        lines = (*refusal_lines(self._refusal, columns), *self._hint_lines(columns))
        self.hints.styles.height = len(lines)
        self.hints.show(lines)

    def _hint_lines(self, columns: int) -> tuple[Line, ...]:
        text = self.entry.value
        word = open_word(text, self._desk)
        command = registry.by_word(word.before[0], self._desk.view_name) if word.before else None
        candidates = candidate_line(self._words(word.head), self._at, columns)
        if command is None:
            return (candidates,)
        usage = usage_lines(command.usage, command.options_usage, command.tooltip, columns)
        if word.option is not None and word.option.takes_path and word.text and not self._found:
            missing = f" no directory or GGUF file begins with {word.text}"
            return (*usage, line(Piece(missing, "dim")))
        return (*usage, candidates) if self._found else usage

    def _words(self, head: str) -> tuple[str, ...]:
        return tuple(found.removeprefix(head) for found in self._found)
