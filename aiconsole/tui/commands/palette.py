"""The commands in the palette; one that cannot be used now says why."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from aiconsole.tui.app import ConsoleApp
from aiconsole.tui.commands.command import Command


class CommandProvider(Provider):
    """Offers the console's commands."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for command in self._commands():
            yield DiscoveryHit(self._text(command), self._action(command), help=self._help(command))

    async def search(self, query: str) -> Hits:
        """Those whose name or help matches."""
        matcher = self.matcher(query)
        for command in self._commands():
            text = self._text(command)
            if (score := matcher.match(text)) > 0:
                yield Hit(
                    score, matcher.highlight(text), self._action(command), text=text,
                    help=self._help(command),
                )  # fmt: skip

    @property
    def _console(self) -> ConsoleApp:
        assert isinstance(self.app, ConsoleApp)
        return self.app

    def _commands(self) -> list[Command]:
        here = self._console.desk.commands_here()
        return [c for c in here if c.name != "palette" and c.takes not in ("theme", "host-run")]

    def _text(self, command: Command) -> str:
        return f"{command.label.capitalize()}: {command.tooltip.rstrip('.')}"

    def _help(self, command: Command) -> str:
        reason = command.refusal(self._console.desk)
        # The palette reads its help as markup; usages hold brackets, and `escape` passes `[HOST]`.
        return (f"not now: {reason}" if reason else command.usage).replace("[", r"\[")

    def _action(self, command: Command) -> partial[None]:
        return partial(self._console.run_command, command, ())
