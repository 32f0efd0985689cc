"""The commands of an operation's own screen."""

from __future__ import annotations

from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.console import Console


class Diff(Command):
    """Show or hide what each step changes in files."""

    name, label, keys = "diff", "diff", ("d",)
    views = frozenset({"operation"})
    typed_anywhere = False

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Toggle it."""
        console.toggle_diff()


class Abort(Command):
    """Ask the run that is shown to stop and to take back what it changed."""

    name, label, keys = "abort", "cancel", ("x",)
    changes_hosts = True
    views = frozenset({"operation"})
    typed_anywhere = False

    def refusal(self, console: Console) -> str:
        """Only a run that is at work on the host can be cancelled."""
        idle = "" if console.shown_run else "no run is at work on this host"
        return self.refusal_always(console) or idle

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Cancel it."""
        assert console.shown_run is not None
        console.cancel(*console.shown_run)
