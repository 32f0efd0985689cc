"""Questions on a terminal; without one nobody can be asked.

Lines are read through the event loop, so that links stay alive while the operator thinks, and
so that Ctrl-C ends the question at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from aiconsole.errors import NotConfirmedError
from aiconsole.question import Answer, Ask, Question
from aiconsole.secret import Secret
from aiconsole.visible import visible, visible_lines

_LINE_BYTES = 4096


async def ask_terminal(question: Question) -> Answer:
    """Ask on the terminal; None where there is none, or where the operator ended the input."""
    if not _is_terminal():
        return None
    _tell(visible(question.title) + "\n")
    for line in visible_lines(question.detail):
        _tell(f"  {line}\n")
    match question.kind:
        case "confirm":
            return await _confirm(question)
        case "secret":
            typed = await _read("password: ", echo=False)
            return Secret(typed) if typed else None
        case "text":
            return await _read("> ") or None
        case "choice":
            return await _choose(question.choices)


async def ask_operator(question: Question) -> Answer:
    """Ask on the terminal before something changes; without one that is refused, with the way on.

    Raises:
        NotConfirmedError: It is a change, and nobody can be asked.
    """
    if question.kind == "confirm" and question.danger and not _is_terminal():
        raise NotConfirmedError(
            "Nobody can be asked here",
            question.title,
            "Answer that on a terminal, or give --yes",
        )
    return await ask_terminal(question)


def asking(yes: bool) -> Ask:
    """Return the `Ask` of a command: `--yes` answers confirmations, never secrets or names.

    A question about a protected host (`typed_name`) is answered by `--yes` too: whoever writes
    that into a script has named the host there.
    """

    async def ask(question: Question) -> Answer:
        if yes and question.kind == "confirm":
            return True
        return await ask_operator(question)

    return ask


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


async def _confirm(question: Question) -> bool | None:
    if question.typed_name:
        typed = await _read(f"type {visible(question.typed_name)} to go on: ")
        return None if typed is None else typed == question.typed_name
    while True:
        typed = await _read("[y/N] ")
        if typed is None:
            return None
        if typed.lower() in ("y", "yes"):
            return True
        if typed.lower() in ("", "n", "no"):
            return False
        _tell("  please answer y or n\n")


async def _choose(choices: tuple[str, ...]) -> str | None:
    for number, choice in enumerate(choices, 1):
        _tell(f"  {number}  {visible(choice)}\n")
    while True:
        chosen = await _read("[1] ")
        if chosen is None or chosen in choices:
            return chosen
        if (chosen or "1").isdecimal() and 1 <= int(chosen or "1") <= len(choices):
            return choices[int(chosen or "1") - 1]
        _tell(f"  please answer 1 to {len(choices)}\n")


async def _read(prompt: str, *, echo: bool = True) -> str | None:
    """Read one line; None at the end of the input."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[bytes] = loop.create_future()
    descriptor = sys.stdin.fileno()

    def take() -> None:
        if not arrived.done():
            arrived.set_result(os.read(descriptor, _LINE_BYTES))

    with _quiet(descriptor, echo):
        # Only now: whoever sees the prompt may type a password at once.
        _tell(prompt)
        loop.add_reader(descriptor, take)
        try:
            line = await arrived
        finally:
            loop.remove_reader(descriptor)
    if not line.endswith(b"\n"):
        _tell("\n")
    return line.decode(errors="replace").rstrip("\r\n") if line else None


@contextmanager
def _quiet(descriptor: int, echo: bool) -> Iterator[None]:
    """Turn the terminal's echo off, and on again whatever happens."""
    if echo:
        yield
        return
    before = termios.tcgetattr(descriptor)
    silent = termios.tcgetattr(descriptor)
    silent[3] &= ~termios.ECHO
    silent[3] |= termios.ECHONL
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
