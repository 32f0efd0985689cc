"""A typed line: which command it is, and how it could go on."""

from __future__ import annotations

import shlex

from aiconsole.errors import RefusedError
from aiconsole.tui.commands import registry
from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.console import Console


def parse(text: str, console: Console) -> tuple[Command, tuple[str, ...]]:
    """Read `deploy web1 web2`.

    Raises:
        RefusedError: No such command here, or a quote that does not end.
    """
    try:
        parts = shlex.split(text.lstrip(":"))
    except ValueError as error:
        raise RefusedError("Not a command", str(error)) from error
    if not parts:
        raise RefusedError("Not a command", "nothing was typed")
    command = registry.by_word(parts[0], console.view_name)
    if command is None:
        raise RefusedError(
            "No such command", parts[0], "Tab completes, ? shows what can be done here"
        )
    return command, tuple(parts[1:])


def completions(text: str, console: Console) -> tuple[str, ...]:
    """Every way in which the last word of the line can be completed, as whole lines."""
    head, space, last = text.rpartition(" ")
    candidates = _candidates(head.split(), console)
    return tuple(f"{head}{space}{word}" for word in candidates if word.startswith(last))


def _candidates(before: list[str], console: Console) -> tuple[str, ...]:
    if not before:
        return registry.words(console.view_name)
    command = registry.by_word(before[0], console.view_name)
    if command is None:
        return ()
    if command.takes == "theme":
        return console.theme_names if len(before) == 1 else ()
    if command.takes == "nothing" or (command.takes != "hosts" and len(before) > 1):
        return ()
    return tuple(name for name in console.host_names if name not in before[1:])
