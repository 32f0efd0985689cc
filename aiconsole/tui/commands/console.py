"""What a command may ask of the console; the app is one, a test brings its own."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

from aiconsole.control.options import DeployOptions, RestartOptions

ViewName: TypeAlias = Literal["fleet", "host", "operation"]
Verb: TypeAlias = Literal["deploy", "restart", "rollback", "stop", "start"]
Choices: TypeAlias = DeployOptions | RestartOptions
"""What the operator chose for an operation."""


class Console(Protocol):
    """The running screen, seen from a command."""

    @property
    def view_name(self) -> ViewName:
        """What the operator looks at."""

    @property
    def readonly(self) -> bool:
        """True where the console was told to change nothing."""

    @property
    def host_names(self) -> tuple[str, ...]:
        """Every host of the fleet."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The hosts that an operation would act on: the marked ones, or the one looked at."""

    @property
    def operation_count(self) -> int:
        """Operations that were begun here."""

    @property
    def shown_run(self) -> tuple[str, str] | None:
        """Host and id of the run that is shown and still at work."""

    @property
    def theme_names(self) -> tuple[str, ...]:
        """Themes that can be chosen."""

    def busy_with(self, host: str) -> str:
        """Title of the operation that works on a host from here; empty where none does."""

    def select(self, selectors: tuple[str, ...]) -> tuple[str, ...]:
        """The hosts of the fleet that names, globs, `@group` and `tag=value` choose.

        Raises:
            AiconsoleError: One of them chooses nothing.
        """

    def releases_of(self, host: str) -> tuple[str, ...]:
        """Releases known to lie on a host, newest first; asks the host where none are known."""

    def runs_of(self, host: str) -> tuple[str, ...]:
        """Runs known of a host, newest first; asks the host where none are known."""

    def begin(self, verb: Verb, hosts: tuple[str, ...], choices: Choices) -> None:
        """Start an operation and show it."""

    def open_host(self, name: str) -> None:
        """Show one host."""

    def open_operation(self) -> None:
        """Show the newest operation."""

    def attach(self, host: str, run_id: str) -> None:
        """Follow a run that is at work on a host."""

    def cancel(self, host: str, run_id: str) -> None:
        """Ask a run to stop and undo."""

    def show_runs(self, host: str) -> None:
        """Show the newest runs of a host."""

    def trust(self, host: str) -> None:
        """Show the key of a host and let the operator trust it."""

    def show_help(self) -> None:
        """Show what the keys do."""

    def show_command_line(self, text: str = "", refusal: str = "") -> None:
        """Let the operator type a command, or correct the one that was refused."""

    def show_palette(self) -> None:
        """Let the operator search the commands."""

    def remember(self, text: str) -> None:
        """Keep a typed line for the arrows, this time and the next."""

    def edit_filter(self) -> None:
        """Let the operator narrow the hosts down."""

    def toggle_mark(self) -> None:
        """Mark or unmark the host under the cursor."""

    def next_order(self) -> None:
        """Order the hosts another way."""

    def toggle_pause(self) -> None:
        """Stop or go on taking new readings into the screen."""

    def choose_theme(self, name: str) -> None:
        """Change the colours."""

    def toggle_diff(self) -> None:
        """Show or hide what the steps of the shown operation change in files."""

    def back(self) -> None:
        """One step back; does nothing on the first screen."""

    def leave(self) -> None:
        """One step back, or quit on the first screen."""

    def quit_console(self) -> None:
        """Quit, after asking where something is going on."""
