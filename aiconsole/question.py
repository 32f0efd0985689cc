"""How the console's services ask a person: a question goes in, never a widget.

The CLI answers with a prompt, the TUI with a modal, a test with a function.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aiconsole.secret import Secret

QuestionKind: TypeAlias = Literal["confirm", "secret", "text", "choice"]


@dataclass(frozen=True, slots=True)
class Question:
    """One thing a service needs to know from the operator."""

    kind: QuestionKind
    """`confirm` expects a bool, `secret` a Secret, `text` and `choice` a str."""
    title: str
    """One line: what is asked."""
    detail: str = ""
    """What the operator should know to answer; may have several lines."""
    choices: tuple[str, ...] = ()
    """For `choice`: the possible answers; the first is the default."""
    danger: bool = False
    """True where a yes changes or interrupts something that users of the service notice."""
    typed_name: str = ""
    """For `confirm` on a protected host: the name that must be typed to say yes."""


Answer: TypeAlias = bool | str | Secret | None
"""None means that nobody could be asked, or that the operator turned away: treat it as no."""

Ask: TypeAlias = Callable[[Question], Awaitable[Answer]]


async def ask_nobody(question: Question) -> Answer:
    """Answer every question with None: the caller runs without a terminal."""
    return None


def in_turn(ask: Ask) -> Ask:
    """Let hosts that are worked on side by side ask one after another: there is one operator."""
    turn = asyncio.Lock()

    async def ask_in_turn(question: Question) -> Answer:
        async with turn:
            return await ask(question)

    return ask_in_turn
