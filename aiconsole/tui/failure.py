"""What failed, as the operator reads it; what nobody expected also goes into a log file."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from aiconsole import paths
from aiconsole.errors import AiconsoleError, RefusedError
from aiconsole.tui.present.line import Line, Piece, line
from aiconsole.visible import visible


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure, ready to be shown."""

    title: str
    detail: str
    hint: str
    refused: bool
    """True where a rule said no and nothing was changed."""

    @property
    def text(self) -> str:
        """Detail and hint, safe to show."""
        return visible(". ".join(part for part in (self.detail, self.hint) if part))

    def lines(self) -> tuple[Line, ...]:
        """The failure as a block."""
        glyph = Piece("▲ ", "warn") if self.refused else Piece("✗ ", "bad")
        block: list[Line] = [(glyph, Piece(self.title, "strong"))]
        if self.detail:
            block.append(line("  ", self.detail))
        if self.hint:
            block.append(line("  ", Piece(self.hint, "accent")))
        return tuple(block)


def failure_of(error: BaseException) -> Failure:
    """Any error: one of the console's own speaks for itself, another is named with its type."""
    if isinstance(error, AiconsoleError):
        return Failure(error.title, error.detail, error.hint, isinstance(error, RefusedError))
    return Failure(
        "The console made a mistake",
        f"{type(error).__name__}: {error}",
        f"the details are in {paths.state_dir() / 'console.log'}",
        False,
    )


def record(error: BaseException) -> None:
    """Write an error that nobody expected, with its traceback, into the console's log file."""
    logger = logging.getLogger("aiconsole.tui")
    if not logger.handlers:
        handler = logging.FileHandler(paths.state_dir() / "console.log", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.error("%s", type(error).__name__, exc_info=error)
    for kept in logger.handlers:
        kept.flush()
