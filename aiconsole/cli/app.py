"""The root of the command line: finds a command's module only when it is called."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from aiconsole import __version__
from aiconsole.cli.output import print_error
from aiconsole.errors import AiconsoleError

COMMANDS: dict[str, str] = {
    "up": "aiconsole.cli.local:up",
    "down": "aiconsole.cli.local:down",
    "hosts": "aiconsole.cli.hosts:app",
    "deploy": "aiconsole.cli.operate:deploy",
    "restart": "aiconsole.cli.operate:restart",
    "rollback": "aiconsole.cli.operate:rollback",
    "stop": "aiconsole.cli.operate:stop",
    "start": "aiconsole.cli.operate:start",
    "status": "aiconsole.cli.status:status",
    "releases": "aiconsole.cli.status:releases",
    "runs": "aiconsole.cli.runs:app",
    "forward": "aiconsole.cli.forward:forward",
}
"""Each command's function, or the typer app of a group, in the order of the help."""

INTERRUPTED = 130


class LazyGroup(TyperGroup):
    """A group that imports the module of a command when the command is named."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the command's module; None for an unknown name."""
        if cmd_name not in COMMANDS:
            # Filled for the suggestion that typer makes for a mistyped name.
            self.commands = dict.fromkeys(COMMANDS, typer.main.get_command(app))
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        found = getattr(import_module(module), attribute)
        group = found if isinstance(found, typer.Typer) else _single(found)
        command = typer.main.get_command(group)
        command.name = cmd_name
        return command


def _single(function: Callable[..., None]) -> typer.Typer:
    """Make a command of its own out of a function."""
    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command()(function)
    return single


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"aiconsole {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Bring AI inference to your own Linux servers, watch it, and restart it without a failure.

    Without a command it opens the screen.
    """
    if context.invoked_subcommand is None:
        # Late, so that no other command pays for the screen's libraries.
        screen = import_module("aiconsole.cli.screen")
        screen.open_screen()


def main() -> None:
    """Run the command line and exit with 0 (fine), 1 (warning or refused) or 2 (failed)."""
    try:
        typer.main.get_command(app).main(prog_name="aiconsole")
    except AiconsoleError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)
