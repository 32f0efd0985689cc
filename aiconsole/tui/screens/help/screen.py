"""What the keys do, made from the bindings that are alive on the screen below."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from aiconsole.tui.commands import registry
from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.console import Console
from aiconsole.tui.present.bars import key_text
from aiconsole.tui.present.help import HelpEntry, help_lines
from aiconsole.tui.widgets.rows import Lines


class HelpScreen(ModalScreen[None]):
    """A page over the screen; any of its keys closes it."""

    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "close", "Close the help"),
    ]

    def __init__(self, console: Console, live: tuple[HelpEntry, ...]) -> None:
        super().__init__()
        self._desk = console
        self._live = live

    def compose(self) -> ComposeResult:
        """One page that scrolls."""
        with Vertical(id="help-box"):
            yield Lines(id="help", classes="panel")

    def on_mount(self) -> None:
        """The page has the keys."""
        page = self.query_one("#help", Lines)
        page.border_title = "Help"
        page.border_subtitle = "Esc closes"
        page.focus()

    def on_resize(self) -> None:
        """Lay the page out for this width."""
        self.call_after_refresh(self._draw)

    def action_close(self) -> None:
        """Back to what was shown."""
        self.dismiss(None)

    def _draw(self) -> None:
        page = self.query_one("#help", Lines)
        view = self._desk.view_name
        keys = tuple(self._entry(c) for c in registry.COMMANDS if c.keys and view in c.views)
        typed = tuple(self._typed(c) for c in registry.COMMANDS if registry.by_word(c.name, view))
        # One column is left to the scrollbar, which comes with what is shown here.
        page.show(help_lines(keys, self._live, typed, page.size.width - 1))

    def _entry(self, command: Command) -> HelpEntry:
        keys = " ".join(key_text(key) for key in command.keys)
        return HelpEntry(keys, command.tooltip, command.refusal(self._desk))

    def _typed(self, command: Command) -> HelpEntry:
        return HelpEntry(command.usage, command.tooltip, command.refusal(self._desk))
