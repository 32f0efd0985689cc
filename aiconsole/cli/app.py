"""The root of the command line: finds a command's module only when it is called."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from aiconsole import __version__
from aiconsole.cli.mistake import quiet_libraries, tell_mistake
from aiconsole.cli.output import print_error
from aiconsole.errors import AiconsoleError


@dataclass(frozen=True, slots=True)
class Entry:
    """One command of the root, known without its module."""

    target: str
    """`module:attribute` of its function, or of the typer app of a group."""
    help: str
    """The first sentence of the function's docstring, or the help of the group."""


COMMANDS: dict[str, Entry] = {
    "up": Entry(
        "aiconsole.cli.local:up",
        "Serve on this machine, wait for a real answer, and open the console on it.",
    ),
    "down": Entry(
        "aiconsole.cli.local:down", "Finish the requests at work on this machine, then stop."
    ),
    "hosts": Entry("aiconsole.cli.hosts:app", "The machines of the fleet."),
    "deploy": Entry(
        "aiconsole.cli.operate:deploy", "Bring hosts to an inference service that answers."
    ),
    "restart": Entry(
        "aiconsole.cli.operate:restart", "Restart the service without losing a request."
    ),
    "rollback": Entry("aiconsole.cli.operate:rollback", "Serve with an earlier release again."),
    "stop": Entry(
        "aiconsole.cli.operate:stop", "Finish the requests at work, then stop the service."
    ),
    "start": Entry("aiconsole.cli.operate:start", "Start the service that was stopped."),
    "status": Entry("aiconsole.cli.status:status", "Show the service of hosts."),
    "releases": Entry(
        "aiconsole.cli.status:releases",
        "List the releases on a host: what it serves, and what it can go back to.",
    ),
    "runs": Entry("aiconsole.cli.runs:app", "What was done to a host: list, attach, cancel."),
    "token": Entry(
        "aiconsole.cli.token:token", "Make a signed token (JWT) for clients of a service."
    ),
    "models": Entry(
        "aiconsole.cli.models:app",
        "The models on this machine: add, list, inspect, verify, roll back, prune, remove.",
    ),
    "forward": Entry(
        "aiconsole.cli.forward:forward", "Bring a host's service to a local port, until Ctrl-C."
    ),
    "bench": Entry(
        "aiconsole.cli.bench:bench",
        "Send load to one service, and measure what its clients see.",
    ),
}
"""In the order of the help."""

INTERRUPTED = 130


class LazyGroup(TyperGroup):
    """A group that imports the module of a command when the command is named."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the table as it is: no module is imported for the help of the root."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the command's module; None for an unknown name."""
        if cmd_name not in COMMANDS:
            # Filled for the suggestion that typer makes for a mistyped name.
            self.commands = dict.fromkeys(COMMANDS, typer.main.get_command(app))
            return None
        module, attribute = COMMANDS[cmd_name].target.split(":")
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
    readonly: Annotated[
        bool, typer.Option("--readonly", help="Turn off everything that changes a host.")
    ] = False,
    ascii_only: Annotated[
        bool, typer.Option("--ascii", help="Draw with ASCII; taken where the locale has no UTF-8.")
    ] = False,
    theme: Annotated[
        str, typer.Option(metavar="NAME", help="dark, light, terminal; default: what fits.")
    ] = "",
    interval: Annotated[
        float, typer.Option(metavar="S", help="Seconds between readings.", min=0.5, max=3600.0)
    ] = 2.0,
    host: Annotated[str, typer.Option(metavar="NAME", help="Open this host at once.")] = "",
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Bring AI inference to your own Linux servers, watch it, and restart it without a failure.

    Without a command it opens the screen; the options before a command are the screen's.
    """
    if context.invoked_subcommand is not None:
        _refuse_screen_options(context)
        return
    # Late, so that no other command pays for the screen's libraries.
    screen = import_module("aiconsole.cli.screen")
    code = screen.open_screen(
        interval_s=interval, readonly=readonly, ascii_only=ascii_only, theme=theme, host=host
    )
    raise typer.Exit(code)


def _refuse_screen_options(context: typer.Context) -> None:
    """A command would not keep them: somebody could take `--readonly deploy` for harmless."""
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name and _was_given(context, parameter.name)
    ]
    if given:
        raise typer.BadParameter(
            f"only the screen knows it, {context.invoked_subcommand} does not",
            param_hint=given[0],
        )


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def main() -> None:
    """Run the command line and exit with 0 (fine), 1 (warning or refused) or 2 (failed)."""
    quiet_libraries()
    try:
        typer.main.get_command(app).main(prog_name="aiconsole")
    except AiconsoleError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the edge: nothing above could tell it
        tell_mistake(error, as_json="--json" in sys.argv)
        sys.exit(AiconsoleError.exit_code)
