"""The commands about what is or was at work on hosts."""

from __future__ import annotations

from aiconsole.errors import RefusedError
from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.console import Console
from aiconsole.tui.commands.operate import known_hosts


class Watch(Command):
    """Show the newest operation that was begun here; leaving its screen does not stop it."""

    name, label, keys = "watch", "operation", ("v",)
    views = frozenset({"fleet", "host"})

    def refusal(self, console: Console) -> str:
        """There is none before the first."""
        return "" if console.operation_count else "nothing was begun here yet"

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Show it."""
        console.open_operation()


class Runs(Command):
    """List the newest runs of a host."""

    name, label, takes = "runs", "runs", "host"

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Of the named host, or of the chosen one."""
        hosts = known_hosts(console, words) or console.targets
        if not hosts:
            raise RefusedError("No host is chosen", "", f"type {self.usage}")
        console.show_runs(hosts[0])


class Attach(Command):
    """Follow a run on a host from its first step, or read how it went."""

    name, label, takes = "attach", "attach", "host-run"

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Take `HOST [RUN]`; the newest run where none is named."""
        console.attach(*_host_and_run(console, words, self.usage))


class Cancel(Command):
    """Ask a run to stop and to take back what it changed."""

    name, label, takes = "cancel", "cancel", "host-run"
    changes_hosts = True

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Take `HOST RUN`; the run that is shown where none is named."""
        if not words and console.shown_run is not None:
            words = console.shown_run
        host, run_id = _host_and_run(console, words, self.usage)
        if not run_id:
            raise RefusedError("Which run?", "Tab completes the runs of the host", self.usage)
        console.cancel(host, run_id)


def _host_and_run(console: Console, words: tuple[str, ...], usage: str) -> tuple[str, str]:
    if not 1 <= len(words) <= 2:
        raise RefusedError("Which run?", "a host and a run are needed", f"type {usage}")
    hosts = known_hosts(console, words[:1])
    if len(hosts) != 1:
        raise RefusedError("One host at a time", f"{words[0]} names {len(hosts)}")
    return hosts[0], words[1] if len(words) == 2 else ""
