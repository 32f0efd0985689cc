"""The commands that change what is looked at, and nothing else."""

from __future__ import annotations

from aiconsole.errors import RefusedError
from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.console import Console, ViewName
from aiconsole.tui.commands.operate import known_hosts


class OpenHost(Command):
    """Open one host with its live graphs."""

    name, label, keys, takes = "host", "open", ("enter",), "host"
    views = frozenset({"fleet"})

    def refusal(self, console: Console) -> str:
        """An empty table has nothing to open."""
        return "" if console.host_names else "the fleet is empty"

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """The named host, or the one under the cursor."""
        hosts = known_hosts(console, words) or console.targets
        if not hosts:
            raise RefusedError("No host is chosen", "", f"type {self.usage}")
        console.open_host(hosts[0])


class Mark(Command):
    """Mark the host under the cursor; operations act on all marked hosts."""

    name, label, keys = "mark", "mark", ("space",)
    views = frozenset({"fleet"})
    typed_anywhere = False

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Mark it, or take the mark away."""
        console.toggle_mark()


class Filter(Command):
    """Show only hosts whose row holds these words; !word leaves them out."""

    name, label, keys = "filter", "filter", ("slash",)
    views = frozenset({"fleet"})
    typed_anywhere = False

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Open the line to type in."""
        console.edit_filter()


class Order(Command):
    """Order the hosts another way: as in hosts.toml, worst first, by name, CPU, requests/s."""

    name, label, keys = "order", "order", ("o",)
    views = frozenset({"fleet"})
    typed_anywhere = False

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Take the next order."""
        console.next_order()


class Pause(Command):
    """Hold the screen still; readings go on being taken behind it."""

    name, label, keys = "pause", "pause", ("p",)
    views = frozenset({"fleet", "host"})

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Pause, or go on."""
        console.toggle_pause()


class Theme(Command):
    """Change the colours."""

    name, label, takes = "theme", "theme", "theme"

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Take the name of a theme."""
        if len(words) != 1 or words[0] not in console.theme_names:
            raise RefusedError("No such theme", " ".join(words), "Tab completes the names")
        console.choose_theme(words[0])


class TypeCommand(Command):
    """Type a command; Tab completes, the arrows bring back earlier ones."""

    name, label, keys = "command-line", "command", ("colon",)
    pinned = True
    typed_anywhere = False

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Open the line."""
        console.show_command_line()


class Palette(Command):
    """Search all commands by what they do."""

    name, label, keys = "palette", "palette", ("ctrl+p",)
    typed_anywhere = False
    in_footer = False

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Open it."""
        console.show_palette()


class Help(Command):
    """Say what each key does here."""

    name, label, keys = "help", "help", ("question_mark", "f1")
    pinned = True

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Open the help."""
        console.show_help()


class Back(Command):
    """Go one step back; on the first screen it only clears marks and filter."""

    name, label, keys = "back", "back", ("escape",)
    in_footer = False

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Go back, never out."""
        console.back()


class Leave(Command):
    """Go one step back, or quit from the first screen."""

    name, label, keys = "leave", "back or quit", ("q",)
    pinned = True
    typed_anywhere = False

    def label_in(self, view: ViewName) -> str:
        """What it would do there."""
        return "quit" if view == "fleet" else "back"

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Go back or out."""
        console.leave()


class Quit(Command):
    """Quit the console; what is at work on hosts goes on there."""

    name, label, keys, aliases = "quit", "quit", ("ctrl+q",), ("q",)
    in_footer = False

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Quit."""
        console.quit_console()
