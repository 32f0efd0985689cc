"""What every screen has: the two bars, a view name, and one way to be drawn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.screen import Screen

from aiconsole.tui.commands.console import ViewName
from aiconsole.tui.present.bars import TopState
from aiconsole.tui.state import ConsoleState
from aiconsole.tui.widgets.bars import KeyBar, TopBar

if TYPE_CHECKING:
    from aiconsole.tui.app import ConsoleApp


class ConsoleScreen(Screen[None]):
    """A screen of the console: it draws the state that it is given and keeps none of it."""

    VIEW: ClassVar[ViewName]

    top_bar = getters.query_one(TopBar)
    key_bar = getters.query_one(KeyBar)

    def __init__(self) -> None:
        super().__init__()
        self._composed = False

    @property
    def console_app(self) -> ConsoleApp:
        """The app, by its own type."""
        from aiconsole.tui.app import ConsoleApp

        assert isinstance(self.app, ConsoleApp)
        return self.app

    @property
    def targets(self) -> tuple[str, ...]:
        """The hosts that an operation begun here would act on."""
        return ()

    @property
    def shown_run(self) -> tuple[str, str] | None:
        """Host and id of the run that is shown and still at work."""
        return None

    def path(self) -> tuple[str, ...]:
        """Where the operator is, for the top bar."""
        return (self.VIEW,)

    def compose(self) -> ComposeResult:
        """The bars around the body."""
        yield TopBar()
        yield from self.compose_body()
        yield KeyBar()

    def compose_body(self) -> ComposeResult:
        """The screen's own widgets."""
        yield from ()

    def draw_body(self, state: ConsoleState) -> None:
        """Show the state in the screen's own widgets."""

    def on_mount(self) -> None:
        """Only now its widgets are there: a tick may have come before."""
        self._composed = True

    def draw(self) -> None:
        """Show the present state; called with every tick and after every event."""
        if not (self._composed and self.query(TopBar)):
            # Not there yet, or on its way out.
            return
        state = self.console_app.state
        self.top_bar.tell(
            TopState(
                self.path(), state.snapshot, state.now_monotonic_s, time.time(), state.interval_s,
                state.paused_unix_s, state.readonly,
                tuple(op.title for op in state.working if op.title not in self.path()),
            )
        )  # fmt: skip
        self.key_bar.tell(self.console_app.desk.key_hints())
        self.draw_body(state)

    def toggle_diff(self) -> None:
        """Show or hide what steps change in files, where steps are shown."""

    def step_back(self) -> bool:
        """Take one step back within the screen; False where there is none left."""
        return False

    def on_screen_resume(self) -> None:
        """Coming back, show what has changed meanwhile."""
        self.draw()

    def on_rows_resized(self) -> None:
        """A panel has another size: fill it."""
        self.draw()
