"""What a check of a host says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aiconsole.errors import PreflightError

Level: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check with its evidence."""

    id: str
    """Stable name, `disk`."""
    level: Level
    text: str
    """What was seen, with numbers: `needs 900 MB under /opt, 120 MB are free`."""
    hint: str = ""
    """What to do about it."""


def refuse_failures(host: str, verdicts: Iterable[Verdict]) -> None:
    """Raise the failures as one error, each on a line of its own.

    Raises:
        PreflightError: At least one check failed.
    """
    failed = [verdict for verdict in verdicts if verdict.level == "fail"]
    if failed:
        raise PreflightError(
            f"{host} is not ready for this",
            "\n".join(verdict.text for verdict in failed),
            "\n".join(verdict.hint for verdict in failed if verdict.hint),
        )


def warnings(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """The lines that an operator should read before a yes."""
    return tuple(
        f"{verdict.text}: {verdict.hint}" if verdict.hint else verdict.text
        for verdict in verdicts
        if verdict.level == "warn"
    )
