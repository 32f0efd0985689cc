"""A secret is a type: it prints as dots, and a leak needs an explicit `reveal()`."""

from __future__ import annotations

import hmac
from typing import Any, NoReturn

REDACTED = "••••••"


class Secret:
    """Text that must not reach an argv, an environment, a log, a journal or a traceback."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself. Call it only where the text goes out, and keep no copy."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    def __str__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied into a file")

    def __getstate__(self) -> Any:
        raise TypeError("a Secret cannot be pickled or copied into a file")
