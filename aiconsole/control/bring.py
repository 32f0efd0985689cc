"""Secrets that an operator brings with a deploy: read from files, or asked for once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from aiconsole.errors import RefusedError, SettingsError
from aiconsole.question import Ask, Question
from aiconsole.secret import Secret

ASKED = "-"
"""In place of a file: the operator types the secret."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_MOST_BYTES = 64 * 1024


def parse_credential(text: str) -> tuple[str, str]:
    """Split `NAME=FILE`.

    Raises:
        SettingsError: It is not that.
    """
    name, equals, source = text.partition("=")
    if not (equals and source and _NAME.fullmatch(name)):
        # Not the text itself: it may be a secret that was typed in the wrong place.
        raise SettingsError(
            "--credential takes NAME=FILE",
            "the name has letters, digits, dots, dashes and underscores",
            "Such as --credential openai=openai.key, or openai=- to be asked for it",
        )
    return name, source


class Brought:
    """The secrets of one command, the same for all its hosts."""

    def __init__(self, given: Sequence[str]) -> None:
        self._given = given
        self._found: dict[str, Secret] | None = None
        self._turn = asyncio.Lock()

    async def secrets(self, ask: Ask) -> dict[str, Secret]:
        """By name; read, or asked for, the first time.

        Raises:
            SettingsError: A text is not NAME=FILE, or a file cannot be used.
            RefusedError: Nobody typed one.
        """
        async with self._turn:
            if self._found is None:
                pairs = [parse_credential(text) for text in self._given]
                self._found = {name: await _one(name, source, ask) for name, source in pairs}
            return self._found


async def _one(name: str, source: str, ask: Ask) -> Secret:
    if source != ASKED:
        return Secret(_read(name, Path(source)))
    typed = await ask(Question("secret", f"The secret of the credential {name}"))
    if not isinstance(typed, Secret):
        raise RefusedError(
            f"No secret was given for the credential {name}",
            "nobody typed one",
            f"Give it in a file: --credential {name}=FILE",
        )
    return typed


def _read(name: str, path: Path) -> str:
    title = f"The credential {name} cannot be read"
    try:
        data = path.expanduser().read_bytes()
        text = data.decode("utf-8").rstrip("\r\n")
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(title, f"{path}: {why}") from error
    except UnicodeDecodeError:
        # Not from it: that error holds the bytes.
        raise SettingsError(title, f"{path} is not UTF-8") from None
    if not text or len(data) > _MOST_BYTES:
        raise SettingsError(title, f"{path} is empty or longer than {_MOST_BYTES} bytes")
    return text
