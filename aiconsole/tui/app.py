"""The app: puts screens, commands and bridge together, and shows what failed."""

from __future__ import annotations

import shlex
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.events import Key
from textual.filter import Monochrome, NoColor
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from aiconsole.errors import AiconsoleError, RefusedError
from aiconsole.question import Question
from aiconsole.tui import theme
from aiconsole.tui.ascii import AsciiFilter
from aiconsole.tui.asking import Asker
from aiconsole.tui.bridge import (
    Bridge,
    FleetKnown,
    FleetTick,
    FleetUnread,
    OpenServices,
    OperationEnded,
    OperationTold,
    ReleasesListed,
    RunsListed,
    Told,
)
from aiconsole.tui.commands import registry
from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.typed import parse
from aiconsole.tui.desk import Desk
from aiconsole.tui.failure import failure_of, record
from aiconsole.tui.screens.fleet.screen import FleetScreen
from aiconsole.tui.state import ConsoleState
from aiconsole.visible import visible

if TYPE_CHECKING:
    from textual.command import Provider

CLOCK_S = 1.0
"""How often ages and clocks move on where no new reading came."""


def _palette() -> type[Provider]:
    from aiconsole.tui.commands.palette import CommandProvider

    return CommandProvider


class ConsoleApp(App[None]):
    """The console's screens over its services."""

    TITLE = "aiconsole"
    CSS_PATH = ["theme.tcss", "screens/fleet/screen.tcss"]
    COMMANDS = {_palette}
    COMMAND_PALETTE_BINDING = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        binding for command in registry.COMMANDS for binding in command.bindings()
    ]

    def __init__(
        self,
        open_services: OpenServices,
        *,
        interval_s: float = 2.0,
        readonly: bool = False,
        ascii_only: bool = False,
        theme_name: str = "",
        first_host: str = "",
    ) -> None:
        super().__init__()
        if self.no_color:
            # Textual would send shades of grey; NO_COLOR means none.
            self._filters = [kept for kept in self._filters if not isinstance(kept, Monochrome)]
            self._filters.append(NoColor())
        if ascii_only:
            self._filters.append(AsciiFilter())
        self.ascii_only = ascii_only
        self._first_host = first_host
        self.state = ConsoleState(interval_s, readonly)
        self.desk = Desk(self)
        self.asker = Asker(self)
        self.bridge = Bridge(self, open_services, self.asker.ask, interval_s)
        for look in theme.THEMES:
            self.register_theme(look)
        self.theme = theme_name or theme.fitting_theme()

    @property
    def broken_by(self) -> Exception | None:
        """The mistake of the console's own that ended it."""
        return self._exception

    def _fatal_error(self) -> None:
        # Textual would print every local variable of every frame, passwords too.
        if self._exception is not None:
            record(self._exception)
        self._close_messages_no_wait()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What our style sheets use, for themes that come with Textual."""
        return theme.VARIABLES

    def get_default_screen(self) -> Screen[None]:
        """The fleet is where everything begins."""
        return FleetScreen(self.state.interval_s)

    def on_mount(self) -> None:
        """Show the first frame before anything is loaded, then go live."""
        self.set_interval(CLOCK_S, self._tick)
        self.call_after_refresh(self.work, self.bridge.live(), "live")

    def work(self, doing: Awaitable[None], name: str) -> Worker[None]:
        """Let something go on beside the screen; a failure comes back to `_worker_changed`."""
        return self.run_worker(doing, name=name, group=name, exit_on_error=False)

    def on_key(self, event: Key) -> None:
        """A key that was still on its way when a line opened is text, and never acts."""
        if self.desk.type_into_line(event):
            event.prevent_default()

    def action_command(self, name: str) -> None:
        """Carry out the command of a key, or say why it cannot be done."""
        self.run_command(registry.by_name(name), ())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key of a command is free in views where the command means nothing."""
        if action == "command":
            return self.desk.view_name in registry.by_name(str(parameters[0])).views
        return super().check_action(action, parameters)

    def run_command(self, command: Command, words: tuple[str, ...]) -> None:
        """The one way into a command, from a key, the palette or a typed line."""
        try:
            self._carry_out(command, words)
        except AiconsoleError as error:
            self.refuse(error.title, ". ".join(filter(None, (error.detail, error.hint))))

    def run_typed(self, text: str | None) -> None:
        """Carry out a line that was typed after `:`; one that is refused can be corrected."""
        if not text:
            return
        try:
            self._carry_out(*parse(text, self.desk))
        except AiconsoleError as error:
            parts = (f"{error.title}: {error.detail}" if error.detail else error.title, error.hint)
            self.desk.show_command_line(text, ". ".join(filter(None, parts)))

    def _carry_out(self, command: Command, words: tuple[str, ...]) -> None:
        # Words name the hosts themselves: what is chosen on the screen does not matter then.
        refusal = command.refusal_always if words else command.refusal
        if reason := refusal(self.desk):
            raise RefusedError(f"Cannot {command.label_in(self.desk.view_name)} now", reason)
        command.run(self.desk, words)

    def refuse(self, title: str, reason: str) -> None:
        """Say why something was not done."""
        self.notify(reason, title=title, severity="warning", timeout=6, markup=False)

    async def quit_when_sure(self) -> None:
        """Quit; while operations are going on the operator is told what becomes of them."""
        titles = "\n".join(f"{operation.title} is going on." for operation in self.state.working)
        question = Question(
            "confirm", "Quit the console?",
            f"{titles}\nA run that has begun on a host goes on there to its end; what was still "
            "being prepared or sent here stops, and nothing is changed.", danger=True,
        )  # fmt: skip
        if not titles or await self.asker.ask(question) is True:
            self.exit()

    def on_fleet_known(self, message: FleetKnown) -> None:
        """The inventory was read."""
        self.state.hosts = message.hosts
        self.state.failure = None
        first, self._first_host = self._first_host, ""
        if first:
            self.run_typed(shlex.join(("host", first)))
        self._redraw()

    def on_fleet_unread(self, message: FleetUnread) -> None:
        """The inventory is wrong: the last good one stays."""
        self.state.failure = failure_of(message.error)
        self._redraw()

    def on_fleet_tick(self, message: FleetTick) -> None:
        """New readings."""
        self.state.take(message.snapshot)
        self._redraw()

    def on_told(self, message: Told) -> None:
        """Something small is done."""
        self.notify(visible(message.text), title=message.title, markup=False)

    def on_runs_listed(self, message: RunsListed) -> None:
        """The newest runs of a host."""
        self.state.runs[message.host] = message
        self.desk.complete_anew()
        self._redraw()

    def on_releases_listed(self, message: ReleasesListed) -> None:
        """Which releases lie on a host."""
        self.state.releases[message.host] = message.releases
        self.desk.complete_anew()

    def on_operation_told(self, message: OperationTold) -> None:
        """An operation told something; its screen may be open or not."""
        self.state.operation(message.number).take(message.event, time.monotonic())
        self._redraw()

    def on_operation_ended(self, message: OperationEnded) -> None:
        """An operation is over."""
        operation = self.state.operation(message.number)
        operation.end(message.error)
        for name in operation.host_names:
            self.state.releases.pop(name, None)
            self.desk.list_runs(name)
        self._redraw()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """The one place where a failed worker is told, by the type of its error."""
        error = event.worker.error
        if event.state is not WorkerState.ERROR or error is None:
            return
        if not isinstance(error, AiconsoleError):
            record(error)
        failure = failure_of(error)
        if event.worker.name == "live":
            self.state.failure = failure
        self.notify(
            failure.text, title=failure.title, timeout=12, markup=False,
            severity="warning" if failure.refused else "error",
        )  # fmt: skip
        self._redraw()

    def _tick(self) -> None:
        self._redraw()

    def _redraw(self) -> None:
        # What was still on its way when the last screen closed has nowhere to go.
        if self.screen_stack:
            self.desk.screen.draw()
