"""The one parser of options in a typed line, shared by all commands that take some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiconsole.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a typed command."""

    name: str
    """As it is typed, `--model`."""
    field: str
    """Where its value goes in the options of the operation."""
    value: str = ""
    """What follows it, `PATH`; empty for one that stands alone and means yes."""
    read: Callable[[str], Any] = str
    """Makes the value of its text; a ValueError says what was expected."""
    choices: tuple[str, ...] = ()
    """The texts it takes, where they are few."""
    many: bool = False
    """May stand several times; its values come as a tuple."""

    @property
    def usage(self) -> str:
        """`--model PATH`."""
        return f"{self.name} {self.value}".strip()

    @property
    def takes_path(self) -> bool:
        """True where a file of this machine is named."""
        return self.value == "PATH"


def read_options(
    words: Sequence[str], options: Sequence[Option]
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Take `--name VALUE` and `--name=VALUE` out of the words; returns the rest and the values.

    Raises:
        RefusedError: An option is unknown, lacks its value, or the value is wrong.
    """
    rest: list[str] = []
    values: dict[str, Any] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":
            return (*rest, *queue), values
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, equals, text = word.partition("=")
        option = _known(name, options)
        if not option.value:
            if equals:
                raise RefusedError(f"{name} takes no value", f"got {text}")
            values[option.field] = True
            continue
        if not equals:
            if not queue:
                raise RefusedError(f"{name} needs a value", f"type {option.usage}")
            text = queue.pop(0)
        value = _read(option, text)
        values[option.field] = (*values.get(option.field, ()), value) if option.many else value
    return tuple(rest), values


def open_option(words: Sequence[str], options: Sequence[Option]) -> Option | None:
    """The option whose value comes next; None where a new word begins."""
    if not words or "--" in words[:-1]:
        return None
    return next((o for o in options if o.value and o.name == words[-1]), None)


def whole_number(least: int, most: int = 10_000_000) -> Callable[[str], int]:
    """A reader of whole numbers in a range."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most:,}")
        return int(text)

    return read


def seconds(text: str) -> float:
    """Read a time in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise ValueError("seconds, from 0 to 86,400")
    return value


def _known(name: str, options: Sequence[Option]) -> Option:
    found = next((option for option in options if option.name == name), None)
    if found is None:
        there_are = f"there are {', '.join(option.usage for option in options)}"
        raise RefusedError(f"There is no option {name} here", there_are if options else "")
    return found


def _read(option: Option, text: str) -> Any:
    if option.choices and text not in option.choices:
        raise RefusedError(
            f"{option.name} does not take {text or 'nothing'}",
            f"expected is one of {', '.join(option.choices)}",
        )
    try:
        return option.read(text)
    except ValueError as error:
        raise RefusedError(
            f"{option.name} does not take {text or 'nothing'}", f"expected is {error}"
        ) from error
