"""What failed, as the operator reads it; what nobody expected also goes into a log file."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from pathlib import Path

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
        f"{type(error).__name__}{_place(error)}",
        f"the details are in {paths.state_dir() / 'console.log'}",
        False,
    )


def record(error: BaseException) -> None:
    """Write an error that nobody expected into the console's log file, frame by frame.

    Its message stays out: it may hold whatever it was about, a password too.
    """
    logger = logging.getLogger("aiconsole.tui")
    if not logger.handlers:
        handler = logging.FileHandler(paths.state_dir() / "console.log", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    logger.error("%s", "\n".join(_frames(error)))
    for kept in logger.handlers:
        kept.flush()


def _frames(error: BaseException) -> list[str]:
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [*_frames(behind), "and then"] if behind is not None else []
    frames = [text.rstrip() for text in traceback.format_tb(error.__traceback__)]
    return [*lines, type(error).__name__, *frames]


def _place(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1:]
    return f" at {Path(last[0].filename).name}:{last[0].lineno}" if last else ""
