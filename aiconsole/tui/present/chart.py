"""A history as bars over several rows, with its scale at the left and its time axis below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiconsole import units
from aiconsole.tui.present.line import Line, Piece, StyleName, fit

_SCALE = 9


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of a graph."""

    name: str
    values: Sequence[float | None]


_LEFT_DOTS = (0x40, 0x04, 0x02, 0x01)
_RIGHT_DOTS = (0x80, 0x20, 0x10, 0x08)
"""Bits of a braille cell from the bottom up; two readings stand in one column."""


def chart(
    values: Sequence[float | None],
    times_unix_s: Sequence[float],
    columns: int,
    rows: int,
    label: Callable[[float], str],
    top: float | None = None,
    style: StyleName = "accent",
    name: str = "",
) -> tuple[Line, ...]:
    """Draw the newest readings, two in a column; the last row is the time axis."""
    width = max(1, columns - _SCALE)
    shown = tuple(values[-2 * width :])
    known = [value for value in shown if value is not None]
    scale = top if top is not None else nice_top(max(known, default=0.0))
    bars = max(1, rows - 1)
    gutter = _gutter(name, label(scale), label(0.0), bars)
    heights = [None if v is None else _dots(v, scale, bars) for v in shown]
    if len(heights) % 2:
        heights.insert(0, None)
    lines: list[Line] = []
    for row in range(bars):
        base = (bars - 1 - row) * 4
        cells = "".join(_cell(heights[i], heights[i + 1], base) for i in range(0, len(heights), 2))
        lines.append((Piece(gutter[row], "dim"), Piece(cells.rjust(width), style)))
    return (*lines, _time_axis(times_unix_s[-len(shown) :] if shown else (), width))


def _gutter(name: str, top: str, bottom: str, bars: int) -> list[str]:
    texts = [""] * bars
    texts[-1] = bottom
    if bars > 3:
        texts[1] = name
    texts[0] = top
    return [fit(text, _SCALE - 1, "right") + " " for text in texts]


def nice_top(largest: float) -> float:
    """The next of 1, 2, 5 times a power of ten: a scale that is read at a glance and rests."""
    if largest <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= largest:
        power *= 10
    while power > largest:
        power /= 10
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= largest)


def _dots(value: float, scale: float, bars: int) -> int:
    # A measured zero leaves a thin line at the bottom: it is not a gap.
    return max(1, round(max(0.0, min(1.0, value / scale)) * bars * 4))


def _cell(left: int | None, right: int | None, base: int) -> str:
    bits = 0
    for height, dots in ((left, _LEFT_DOTS), (right, _RIGHT_DOTS)):
        for dot in range(min(4, max(0, (height or 0) - base))):
            bits |= dots[dot]
    return chr(0x2800 + bits) if bits else " "


def _time_axis(times_unix_s: Sequence[float], width: int) -> Line:
    if len(times_unix_s) < 2:
        return (Piece(" " * _SCALE), Piece(fit("now", width, "right"), "dim"))
    span = f"-{units.span_text(times_unix_s[-1] - times_unix_s[0])}"
    drawn = min(width, (len(times_unix_s) + 1) // 2)
    left = fit(span, max(len(span), drawn - 3)) if drawn > len(span) + 4 else " " * (drawn - 3)
    return (Piece(" " * _SCALE), Piece(fit(left + "now", width, "right"), "dim"))
