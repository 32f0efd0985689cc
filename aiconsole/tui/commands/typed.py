"""A typed line: which command it is, and how it could go on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from aiconsole.errors import RefusedError
from aiconsole.tui.commands import registry
from aiconsole.tui.commands.command import Command
from aiconsole.tui.commands.console import Console
from aiconsole.tui.commands.options import Option, open_option

_LAST_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"?|'[^']*'?)*$""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OpenWord:
    """The word at the end of a line, still being typed."""

    head: str
    """The line before it."""
    before: tuple[str, ...]
    """The words before it, without quotes."""
    text: str
    """What there is of the word, without quotes; of `--name=value` the value."""
    option: Option | None = None
    """The option whose value it is."""


def parse(text: str, console: Console) -> tuple[Command, tuple[str, ...]]:
    """Read `deploy web1 web2`.

    Raises:
        RefusedError: No such command here, or a quote that does not end.
    """
    try:
        parts = shlex.split(text.lstrip(":"))
    except ValueError as error:
        reason = str(error)
        raise RefusedError("Not a command", f"{reason[:1].lower()}{reason[1:]}") from error
    if not parts:
        raise RefusedError("Not a command", "nothing was typed")
    command = registry.by_word(parts[0], console.view_name)
    if command is None:
        raise RefusedError(
            "No such command", parts[0], "Tab completes, ? shows what can be done here"
        )
    return command, tuple(parts[1:])


def open_word(text: str, console: Console) -> OpenWord:
    """What is being typed at the end of a line."""
    match = _LAST_WORD.search(text)
    start = match.start() if match else len(text)
    head, last = text[:start], text[start:]
    before = tuple(_loosely(head))
    command = registry.by_word(before[0], console.view_name) if before else None
    if command is None:
        return OpenWord(head, before, last)
    if (option := open_option(before[1:], command.options)) is not None:
        return OpenWord(head, before, _bare(last), option)
    name, equals, value = last.partition("=")
    for option in command.options:
        if equals and option.value and option.name == name:
            return OpenWord(f"{head}{name}=", before, _bare(value), option)
    return OpenWord(head, before, _bare(last))


def completions(
    text: str, console: Console, paths: Callable[[str], tuple[str, ...]] = lambda _: ()
) -> tuple[str, ...]:
    """Every way in which the last word of the line can be completed, as whole lines.

    Args:
        text: The line.
        console: Knows hosts, releases and runs.
        paths: The files of this machine that begin with a text.
    """
    word = open_word(text, console)
    if word.option is not None and word.option.takes_path:
        return tuple(f"{word.head}{_escaped(path)}" for path in paths(word.text))
    candidates = _candidates(word, console)
    return tuple(f"{word.head}{c}" for c in candidates if c.startswith(word.text))


def _candidates(word: OpenWord, console: Console) -> tuple[str, ...]:
    if not word.before:
        return registry.words(console.view_name)
    command = registry.by_word(word.before[0], console.view_name)
    if command is None:
        return ()
    if word.option is not None:
        return word.option.choices
    given = _plain_words(word.before[1:], command.options)
    if word.text.startswith("-"):
        return tuple(o.name for o in command.options if o.name not in word.before)
    return _words_of(command, given, console)


def _words_of(command: Command, given: tuple[str, ...], console: Console) -> tuple[str, ...]:
    """What the next word without `--` may be."""
    hosts = tuple(name for name in console.host_names if name not in given)
    match command.takes:
        case "theme":
            return () if given else console.theme_names
        case "host":
            return () if given else hosts
        case "hosts":
            return hosts
        case "host-run":
            return hosts if not given else console.runs_of(given[0]) if len(given) == 1 else ()
        case "host-release":
            named = tuple(word for word in given if word in console.host_names)
            if len(given) > len(named):
                return ()
            of = named or console.targets
            return (*(console.releases_of(of[0]) if of else ()), *(() if named else hosts))
        case "nothing":
            return ()


def _plain_words(words: tuple[str, ...], options: tuple[Option, ...]) -> tuple[str, ...]:
    """The words that are neither an option nor its value."""
    valued = {option.name for option in options if option.value}
    return tuple(
        word
        for before, word in zip(("", *words), words, strict=False)
        if not word.startswith("-") and before not in valued
    )


def _loosely(text: str) -> list[str]:
    """Words of a line that need not be whole yet."""
    try:
        return shlex.split(text.lstrip(":"))
    except ValueError:
        return text.split()


def _bare(word: str) -> str:
    """A word without its quotes, open ones too."""
    for end in ("", '"', "'"):
        try:
            return "".join(shlex.split(word + end))
        except ValueError:
            continue
    return word


def _escaped(path: str) -> str:
    """A path as it is typed: what would end the word is escaped."""
    return re.sub(r"""([\s"'\\])""", r"\\\1", path)
