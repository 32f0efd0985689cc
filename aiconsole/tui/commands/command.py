"""What every command is: a key, a word, a place in the footer and the palette, and a rule."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from textual.binding import Binding

from aiconsole.tui.commands.console import Console, ViewName
from aiconsole.tui.commands.options import Option

Takes: TypeAlias = Literal["nothing", "host", "hosts", "theme", "host-release", "host-run"]

READONLY = "the console was started with --readonly"
EVERYWHERE: frozenset[ViewName] = frozenset({"fleet", "host", "operation"})


class Command:
    """One thing a user can tell the console; subclasses say what it is in class attributes.

    The docstring of a subclass is its help: the first line is shown in the palette and in `?`.
    """

    name: ClassVar[str]
    """Stable: the word after `:` and the id of its key."""
    label: ClassVar[str]
    """In the footer, one or two words."""
    keys: ClassVar[tuple[str, ...]] = ()
    """Textual's names of the keys; none for a command that is only typed."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other words after `:`."""
    views: ClassVar[frozenset[ViewName]] = EVERYWHERE
    """Where it means something; elsewhere the key is free."""
    takes: ClassVar[Takes] = "nothing"
    """What may follow its word, for completion."""
    options: ClassVar[tuple[Option, ...]] = ()
    """What may be typed with `--` after its word."""
    typed_anywhere: ClassVar[bool] = True
    """False where even its word needs one of `views`."""
    changes_hosts: ClassVar[bool] = False
    """True where a read-only console refuses it, however it was given."""
    in_footer: ClassVar[bool] = True
    pinned: ClassVar[bool] = False
    """True where the footer must always have room for it."""

    @property
    def tooltip(self) -> str:
        """What it does, in one sentence."""
        return (type(self).__doc__ or "").strip().split("\n")[0]

    @property
    def usage(self) -> str:
        """How it is typed."""
        argument = {
            "nothing": "", "host": " HOST", "hosts": " [HOST...]", "theme": " NAME",
            "host-release": " [HOST] [RELEASE]", "host-run": " HOST [RUN]",
        }[self.takes]  # fmt: skip
        return f":{self.name}{argument}"

    @property
    def options_usage(self) -> str:
        """Its options, as they are typed."""
        return " ".join(f"[{option.usage}]" for option in self.options)

    def label_in(self, view: ViewName) -> str:
        """Its word in the footer of a view."""
        return self.label

    def bindings(self) -> list[Binding]:
        """Its keys, as Textual wants them."""
        return [
            Binding(
                key, f"command('{self.name}')", self.label, show=False, tooltip=self.tooltip,
                id=f"{self.name}-{number}" if number else self.name,
            )
            for number, key in enumerate(self.keys)
        ]  # fmt: skip

    def refusal(self, console: Console) -> str:
        """Why it cannot be done now, as a sentence; empty where it can."""
        return self.refusal_always(console)

    def refusal_always(self, console: Console) -> str:
        """Why it cannot be done now whatever is typed after it."""
        return READONLY if self.changes_hosts and console.readonly else ""

    def run(self, console: Console, words: tuple[str, ...]) -> None:
        """Do it; `words` is what was typed after its name.

        Raises:
            RefusedError: The words make no sense.
        """
        raise NotImplementedError
