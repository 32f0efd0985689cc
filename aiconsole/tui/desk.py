"""What the commands act on: the console's screens and operations, behind the `Console` protocol."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from textual.widgets import Input

from aiconsole.errors import RefusedError
from aiconsole.tui.commands import registry
from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.console import Choices, Verb, ViewName
from aiconsole.tui.history import TypedHistory
from aiconsole.tui.operation import Operation
from aiconsole.tui.present.bars import KeyHint, key_text
from aiconsole.tui.present.fleet_order import next_order
from aiconsole.tui.present.help import HelpEntry
from aiconsole.tui.screens.console import ConsoleScreen
from aiconsole.tui.screens.fleet.screen import FleetScreen
from aiconsole.tui.widgets.filter_line import FilterLine

if TYPE_CHECKING:
    from textual.events import Key

    from aiconsole.tui.app import ConsoleApp


class Desk:
    """The one implementation of `Console`; changes screens, begins operations, holds no state."""

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        self._typed = TypedHistory()
        self._asked: set[tuple[str, str]] = set()

    @property
    def screen(self) -> ConsoleScreen:
        """The screen that is looked at, whatever question lies over it."""
        stack = [s for s in self._app.screen_stack if isinstance(s, ConsoleScreen)]
        return stack[-1]

    @property
    def view_name(self) -> ViewName:
        """What the operator looks at."""
        return self.screen.VIEW

    @property
    def readonly(self) -> bool:
        """True where the console was told to change nothing."""
        return self._app.state.readonly

    @property
    def host_names(self) -> tuple[str, ...]:
        """Every host of the fleet."""
        return self._app.state.host_names()

    @property
    def targets(self) -> tuple[str, ...]:
        """The hosts that an operation would act on."""
        return self.screen.targets

    @property
    def operation_count(self) -> int:
        """Operations that were begun here."""
        return len(self._app.state.operations)

    @property
    def shown_run(self) -> tuple[str, str] | None:
        """Host and id of the run that is shown and still at work."""
        return self.screen.shown_run

    @property
    def theme_names(self) -> tuple[str, ...]:
        """Themes that can be chosen."""
        return tuple(sorted(self._app.available_themes))

    def key_hints(self) -> list[KeyHint]:
        """The footer: each command that has a key in this view, and whether it can be used."""
        return [
            KeyHint(key_text(c.keys[0]), c.label_in(self.view_name), not c.refusal(self), c.pinned)
            for c in registry.COMMANDS
            if c.in_footer and c.keys and self.view_name in c.views
        ]

    def commands_here(self) -> list[Command]:
        """Every command that means something in this view."""
        return [c for c in registry.COMMANDS if self.view_name in c.views]

    def busy_with(self, host: str) -> str:
        """Title of the operation that works on a host from here."""
        working = (op for op in self._app.state.working if host in op.host_names)
        return next((operation.title for operation in working), "")

    def select(self, selectors: tuple[str, ...]) -> tuple[str, ...]:
        """The hosts of the fleet that names, globs, `@group` and `tag=value` choose."""
        return self._app.bridge.select(selectors)

    def releases_of(self, host: str) -> tuple[str, ...]:
        """Releases known to lie on a host; asks the host where none are known."""
        known = self._app.state.releases.get(host)
        if known is None and self._asks_first("releases", host):
            self._app.work(self._app.bridge.list_releases(host), "releases")
        return known or ()

    def runs_of(self, host: str) -> tuple[str, ...]:
        """Runs known of a host; asks the host where none are known."""
        listed = self._app.state.runs.get(host)
        if listed is None and self._asks_first("runs", host):
            self.list_runs(host)
        return tuple(run.run_id for run in listed.runs) if listed else ()

    def begin(self, verb: Verb, hosts: tuple[str, ...], choices: Choices) -> None:
        """Start an operation and show it."""
        operation = self._new_operation(verb, hosts)
        bridge = self._app.bridge
        self._app.work(bridge.operate(operation.number, verb, hosts, choices), "operation")
        self.open_operation()

    def attach(self, host: str, run_id: str) -> None:
        """Follow a run on a host, or show how it went."""
        known = [op for op in self._app.state.operations if op.is_run(host, run_id)]
        if known:
            self._show_operation(known[-1].number)
            return
        operation = self._new_operation("attach", (host,))
        listed = self._app.state.runs.get(host)
        for run in listed.runs if listed else ():
            if run.run_id == run_id:
                operation.run_title = run.title
        self._app.work(self._app.bridge.attach(operation.number, host, run_id), "operation")
        self.open_operation()

    def cancel(self, host: str, run_id: str) -> None:
        """Ask a run to stop and undo."""
        self._app.work(self._app.bridge.cancel(host, run_id), "cancel")

    def open_host(self, name: str) -> None:
        """Show one host."""
        from aiconsole.tui.screens.host.screen import HostScreen

        if not (isinstance(self.screen, HostScreen) and self.screen.host_name == name):
            self._app.push_screen(HostScreen(name))
        self.list_runs(name)

    def open_operation(self) -> None:
        """Show the newest operation."""
        self._show_operation(len(self._app.state.operations) - 1)

    def _show_operation(self, number: int) -> None:
        from aiconsole.tui.screens.operation.screen import OperationScreen

        if not (isinstance(self.screen, OperationScreen) and self.screen.number == number):
            self._app.push_screen(OperationScreen(number))

    def list_runs(self, host: str) -> None:
        """Read the newest runs of a host."""
        self._app.work(self._app.bridge.list_runs(host), "runs")

    def show_runs(self, host: str) -> None:
        """Show the newest runs of a host, on its screen."""
        self.open_host(host)

    def trust(self, host: str) -> None:
        """Show the key of a host and let the operator trust it."""
        self._app.work(self._app.bridge.trust(host), "trust")

    def show_help(self) -> None:
        """Show what the keys do."""
        from aiconsole.tui.screens.help.screen import HelpScreen

        moves: dict[str, list[str]] = {}
        for live in self.screen.active_bindings.values():
            binding = live.binding
            if binding.description and not binding.action.startswith(
                ("command(", "app.", "screen.")
            ):
                moves.setdefault(binding.description, []).append(key_text(binding.key))
        entries = tuple(HelpEntry(" ".join(keys), text) for text, keys in moves.items())
        self._app.push_screen(HelpScreen(self, entries))

    def show_command_line(self, text: str = "", refusal: str = "") -> None:
        """Let the operator type a command, or correct the one that was refused."""
        from aiconsole.tui.screens.command_line.screen import CommandLineScreen

        self._asked.clear()
        self._typed.to_end()
        line = CommandLineScreen(self, self._typed, text, refusal)
        self._app.push_screen(line, self._app.run_typed)

    def type_into_line(self, event: Key) -> bool:
        """Put a key into the line that is open; False where none is."""
        from aiconsole.tui.screens.command_line.screen import CommandLineScreen

        screen, focused = self._app.screen, self._app.focused
        if isinstance(screen, CommandLineScreen) and focused is None:
            screen.take(event)
            return True
        if isinstance(focused, FilterLine) or isinstance(screen, CommandLineScreen):
            if not (event.is_printable and event.character and isinstance(focused, Input)):
                return False
            focused.insert_text_at_cursor(event.character)
            return True
        return False

    def remember(self, text: str) -> None:
        """Keep a typed line for the arrows, this time and the next."""
        self._typed.add(text)
        self._app.work(self._store_typed(), "history")

    async def _store_typed(self) -> None:
        try:
            await asyncio.to_thread(self._typed.store)
        except OSError as error:
            raise RefusedError("Typed lines are not kept", str(error)) from error

    def complete_anew(self) -> None:
        """More is known that a typed line could go on with."""
        from aiconsole.tui.screens.command_line.screen import CommandLineScreen

        for screen in self._app.screen_stack[-1:]:
            if isinstance(screen, CommandLineScreen):
                screen.search()

    def show_palette(self) -> None:
        """Let the operator search the commands."""
        self._app.action_command_palette()

    def edit_filter(self) -> None:
        """Let the operator narrow the hosts down."""
        if isinstance(self.screen, FleetScreen):
            self.screen.edit_filter()

    def toggle_mark(self) -> None:
        """Mark or unmark the host under the cursor."""
        if isinstance(self.screen, FleetScreen):
            self.screen.table.toggle_mark()
            self.screen.draw()

    def next_order(self) -> None:
        """Order the hosts another way."""
        if isinstance(self.screen, FleetScreen):
            self.screen.table.sort_by(next_order(self.screen.table.order))
            self.screen.draw()

    def toggle_diff(self) -> None:
        """Show or hide what the steps of the shown operation change in files."""
        self.screen.toggle_diff()

    def toggle_pause(self) -> None:
        """Stop or go on taking new readings into the screen."""
        self._app.state.toggle_pause()
        self.screen.draw()

    def choose_theme(self, name: str) -> None:
        """Change the colours."""
        self._app.theme = name

    def back(self) -> None:
        """One step back; does nothing on the first screen."""
        if not self.screen.step_back() and len(self._app.screen_stack) > 1:
            self._app.pop_screen()

    def leave(self) -> None:
        """One step back, or quit on the first screen."""
        if len(self._app.screen_stack) > 1:
            self._app.pop_screen()
        else:
            self.quit_console()

    def quit_console(self) -> None:
        """Quit, after asking where something is going on."""
        self._app.work(self._app.quit_when_sure(), "quit")

    def _asks_first(self, what: str, host: str) -> bool:
        """True once while a line is typed: a host that does not answer is not asked again."""
        first = (what, host) not in self._asked and host in self.host_names
        self._asked.add((what, host))
        return first

    def _new_operation(self, verb: str, hosts: tuple[str, ...]) -> Operation:
        operations = self._app.state.operations
        operation = Operation(len(operations), verb, hosts, time.time())
        operations.append(operation)
        return operation
