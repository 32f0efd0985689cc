"""How a load is shown while it runs: one screenful on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from aiconsole.cli.bench_text import progress_line
from aiconsole.load.progress import Progress
from aiconsole.load.strain import strain_of

_DRAW_S = 0.5
_LINE_S = 5.0
_CODES: Mapping[str, str] = {
    "dim": "2", "strong": "1", "head": "1", "accent": "36", "good": "32", "warn": "33", "bad": "31",
}  # fmt: skip
_COLOURS = ("accent", "good", "warn", "bad")


class View(Protocol):
    """Takes the progress as often as it changes."""

    def show(self, progress: Progress) -> None:
        """Show it, if it is time to."""


class LineView:
    """A line every few seconds, for logs."""

    def __init__(self) -> None:
        self._shown = 0
        self._next_s = time.monotonic() + _LINE_S

    def show(self, progress: Progress) -> None:
        """Print a line, if it is time to."""
        if time.monotonic() < self._next_s or len(progress.points) == self._shown:
            return
        self._next_s += _LINE_S
        self._shown = len(progress.points)
        point = progress.points[-1]
        figures = {
            "at_s": round(point.at_s), "answered": point.answered, "p50_s": point.p50_s,
            "p99_s": point.p99_s, "failed": progress.total.failures,
            "in_flight": progress.in_flight,
        }  # fmt: skip
        print(progress_line(figures), file=sys.stderr, flush=True)


class ScreenView:
    """One screenful on the terminal of stderr; only lines that changed go out.

    Args:
        target: As the operator named it.
        workers: Processes that send.
        ascii_only: Draw with ASCII.
        colour: False where NO_COLOR is set.
    """

    def __init__(self, target: str, workers: int, *, ascii_only: bool, colour: bool) -> None:
        self._target, self._workers = target, workers
        self._ascii, self._colour = ascii_only, colour
        self._shown: list[str] = []
        self._size = os.terminal_size((0, 0))
        self._next_s = 0.0

    def show(self, progress: Progress) -> None:
        """Draw it, if it is time to."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + _DRAW_S
        size = os.get_terminal_size(sys.stderr.fileno())
        if size != self._size:
            self._size, self._shown = size, []
            sys.stderr.write("\x1b[2J")
        lines = self._lines(progress, size, now_s)
        for row, line in enumerate(lines):
            if row >= len(self._shown) or self._shown[row] != line:
                sys.stderr.write(f"\x1b[{row + 1};1H{line}\x1b[K")
        self._shown = lines
        sys.stderr.flush()

    def _lines(self, progress: Progress, size: os.terminal_size, now_s: float) -> list[str]:
        # Late: what draws is loaded only where something is drawn.
        from aiconsole.tui.present.charset import to_ascii
        from aiconsole.tui.present.load import screenful

        strain = strain_of(progress, self._workers)
        drawn = screenful(
            progress, strain, self._target, size.columns - 1, size.lines, now_s, self._ascii
        )
        found = []
        for pieces in drawn:
            text = "".join(self._styled(piece.text, piece.style) for piece in pieces).rstrip()
            found.append(to_ascii(text) if self._ascii else text)
        return found

    def _styled(self, text: str, style: str) -> str:
        code = _CODES.get(style)
        if code is None or not text.strip() or (style in _COLOURS and not self._colour):
            return text
        return f"\x1b[{code}m{text}\x1b[0m"


def speaks_unicode() -> bool:
    """Whether this terminal shows more than ASCII."""
    from aiconsole.tui.present.charset import speaks_unicode

    return speaks_unicode(os.environ)


def in_ascii(text: str) -> str:
    """The text for a terminal that shows only ASCII."""
    from aiconsole.tui.present.charset import to_ascii

    return "\n".join(to_ascii(line) for line in text.split("\n"))


@contextmanager
def open_view(target: str, workers: int, *, ascii_only: bool) -> Iterator[View]:
    """The view that fits where stderr leads; the terminal is given back as it was."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield LineView()
        return
    colour = "NO_COLOR" not in os.environ
    sys.stderr.write("\x1b[?1049h\x1b[?25l\x1b[2J")
    try:
        yield ScreenView(target, workers, ascii_only=ascii_only, colour=colour)
    finally:
        sys.stderr.write("\x1b[?25h\x1b[?1049l")
        sys.stderr.flush()
