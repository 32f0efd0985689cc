"""The command that lets an operator accept a host's key."""

from __future__ import annotations

from aiconsole.errors import RefusedError
from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.console import Console
from aiconsole.tui.commands.operate import known_hosts


class Trust(Command):
    """Compare the key of a host that is refused, and trust it."""

    name, label, keys, takes = "trust", "trust", ("t",), "host"
    views = frozenset({"fleet", "host"})
    in_footer = False

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Of the named host, or of the chosen one."""
        hosts = known_hosts(console, words) or console.targets
        if not hosts:
            raise RefusedError("No host is chosen", "", f"type {self.usage}")
        console.trust(hosts[0])
