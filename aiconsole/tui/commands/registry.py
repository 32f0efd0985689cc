"""Every command, once."""

from __future__ import annotations

from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.console import ViewName
from aiconsole.tui.commands.navigate import (
    Back,
    Filter,
    Help,
    Leave,
    Mark,
    OpenHost,
    Order,
    Palette,
    Pause,
    Quit,
    Theme,
    TypeCommand,
)
from aiconsole.tui.commands.operate import Deploy, Restart, Rollback, Start, Stop
from aiconsole.tui.commands.operation import Abort, Diff
from aiconsole.tui.commands.runs import Attach, Cancel, Runs, Watch
from aiconsole.tui.commands.trust import Trust

COMMANDS: tuple[Command, ...] = (
    OpenHost(), Deploy(), Restart(), Rollback(), Stop(), Start(), Diff(), Abort(), Watch(),
    Mark(), Filter(),
    Order(), Pause(), TypeCommand(), Help(), Leave(), Runs(), Attach(), Cancel(), Trust(), Theme(),
    Palette(), Back(), Quit(),
)  # fmt: skip
"""In the order of the footer and of the help."""

_BY_WORD: dict[str, Command] = {
    word: command for command in COMMANDS for word in (command.name, *command.aliases)
}


def by_name(name: str) -> Command:
    """The command of a name that this module gave out."""
    return _BY_WORD[name]


def by_word(word: str, view: ViewName) -> Command | None:
    """The command that is typed as `word`; None where there is none in this view."""
    command = _BY_WORD.get(word)
    if command is None or not (command.typed_anywhere or view in command.views):
        return None
    return command


def words(view: ViewName) -> tuple[str, ...]:
    """What can be typed after `:` here, sorted."""
    return tuple(sorted(word for word in _BY_WORD if by_word(word, view) is not None))
