"""What is asked: prompts from a file, or made up; and each one new to the server's caches."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path
from typing import Any

from aiconsole.errors import SettingsError
from aiconsole.load.spec import Prompt, Shape

REPEATED = 100
"""Made-up prompts that take turns where they need not be new."""

_POOL_WORDS = 65_536
_STRIDE = 40_503
"""Odd, so that cuts begin at every word of the pool before one does again."""
_MOST_BYTES = 256 * 1024 * 1024
_FIELDS = {"prompt", "messages", "max_tokens"}
_TEXT = (
    "the of and to in is that it was for on are as with they at be this from have or by one had "
    "not but what all were when we there can an your which their said if do will each about how up "
    "out them then she many some so these would other into has more her two like him see time "
    "could no make than first been its who now people my made over did down only way find use may "
    "water long little very after words called just where most know get through back much before "
    "go good new write our used me man too any day same right look think also around another came "
    "come work three word must because does part even place well such here take why things help "
    "put years different away again off went old number great tell men say small every found still "
    "between name should home big give air line set own under read last never us left end along "
    "while might next sound below saw something thought both few those always looked show large "
    "often together asked house world going want school important until form food keep children"
)
_WORDS = _TEXT.split()


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """Read a file with one prompt a line.

    A line that begins with `{` is JSON: `prompt` (a text) or `messages` (a chat's), and if wanted
    `max_tokens`. Empty lines are passed over.

    Raises:
        SettingsError: It cannot be read, or a line is wrong.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SettingsError(f"{path} is too large for prompts", "256 MiB are the most")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        said = error.strerror or ""
        raise SettingsError(f"The prompts cannot be read from {path}", said) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8", f"at byte {error.start}") from error
    lines = enumerate(text.split("\n"), 1)
    found = tuple(
        _prompt(line.strip(), f"{path}, line {number}") for number, line in lines if line.strip()
    )
    if not found:
        raise SettingsError(f"{path} holds no prompt", "", "write one prompt a line")
    return found


def prompt_of(shape: Shape, number: int) -> Prompt:
    """The prompt of a request, by its number."""
    if shape.prompts:
        prompt = shape.prompts[number % len(shape.prompts)]
    else:
        turn = number if shape.unique_mark else number % REPEATED
        prompt = Prompt(made_up(shape.prompt_tokens, shape.seed, turn))
    if not shape.unique_mark:
        return prompt
    return _marked(prompt, f"[{shape.unique_mark}-{number}] ")


def made_up(tokens: int, seed: int, number: int) -> str:
    """Varied text of about so many tokens: common words, each of which most models know as one."""
    pool = _pool(seed)
    # Cut from one long text: choosing each word anew would cost more than sending the request.
    start = number * _STRIDE % len(pool)
    words = pool[start : start + tokens]
    while len(words) < tokens:
        words += pool[: tokens - len(words)]
    return " ".join(words)


@functools.lru_cache(maxsize=2)
def _pool(seed: int) -> list[str]:
    random_ = random.Random(seed)  # noqa: S311 - text, not a secret
    return random_.choices(_WORDS, k=_POOL_WORDS)


def _prompt(line: str, place: str) -> Prompt:
    if not line.startswith("{"):
        return Prompt(line)
    try:
        document = json.loads(line)
    except ValueError as error:
        raise SettingsError(
            f"{place} is not JSON",
            str(error),
            "a line that begins with { is read as JSON; any other is a prompt as it stands",
        ) from error
    if unknown := sorted(document.keys() - _FIELDS):
        raise SettingsError(
            f"{place} has an unknown field {unknown[0]}", "", f"known: {', '.join(sorted(_FIELDS))}"
        )
    text, messages = document.get("prompt"), document.get("messages")
    if (text is None) == (messages is None):
        raise SettingsError(f"{place} needs either prompt or messages")
    if text is not None and (not isinstance(text, str) or not text):
        raise SettingsError(f"{place}: prompt is not a text")
    tokens = document.get("max_tokens", 0)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise SettingsError(f"{place}: max_tokens is not a whole number")
    return Prompt(text or "", _messages(messages, place), tokens)


def _messages(messages: Any, place: str) -> tuple[dict[str, Any], ...]:
    if messages is None:
        return ()
    if not isinstance(messages, list) or not messages:
        raise SettingsError(f"{place}: messages is not a list of messages")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise SettingsError(f"{place}: a message needs a role and a content")
    return tuple(messages)


def _marked(prompt: Prompt, mark: str) -> Prompt:
    """Put the mark where the server's prompt begins: a prefix cache then knows nothing of it."""
    if not prompt.messages:
        return Prompt(mark + prompt.text, (), prompt.max_tokens)
    first, *rest = prompt.messages
    content = first.get("content")
    if isinstance(content, str):
        return Prompt("", ({**first, "content": mark + content}, *rest), prompt.max_tokens)
    note = {"role": "system", "content": mark}
    return Prompt("", (note, *prompt.messages), prompt.max_tokens)
