"""One metric over the whole width, drawn by plotext."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from aiconsole import units
from aiconsole.tui.present.chart import Curve, nice_top
from aiconsole.tui.present.line import Line, Piece, StyleName

_COLOURS: tuple[tuple[str, StyleName], ...] = (("cyan", "accent"), ("white", ""), ("gray", "dim"))
_STYLE_OF_CODE: dict[str, StyleName] = {"6": "accent", "7": "", "8": "dim"}
_ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")
_TICKS = 5
_ROWS_FOR_FIVE = 13

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
"""Distances of the marks of a time axis."""


def plot(
    curves: Sequence[Curve],
    times_unix_s: Sequence[float],
    columns: int,
    rows: int,
    label: Callable[[float], str],
    top: float | None = None,
    ascii_only: bool = False,
) -> tuple[Line, ...]:
    """Draw up to two curves on one scale; what is not known is a gap."""
    # Loaded here: it takes a quarter of a second, and most screens never need it.
    import plotext

    known = [value for curve in curves for value in curve.values if value is not None]
    if len(times_unix_s) < 2 or not known:
        return ((Piece("Not enough readings yet: a plot needs two.", "dim"),),)
    scale = top if top is not None else nice_top(max(known))
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear()
    figure.plot_size(columns, rows)
    figure.canvas("default")
    figure.axes(pixel=plotext.pixel("gray"), style="rounded")
    figure.ruler("both", "both").pixel(plotext.pixel("gray"))
    ticks = 5 if rows >= _ROWS_FOR_FIVE else 3
    marks = [scale * i / (ticks - 1) for i in range(ticks)]
    figure.ruler("y", "left").lim(0, scale).ticks(marks, [label(mark) for mark in marks])
    now = times_unix_s[-1]
    figure.ruler("x", "lower").lim(times_unix_s[0] - now, 0).ticks(*_time_ticks(times_unix_s))
    for curve, (colour, _) in zip(curves, _COLOURS, strict=False):
        marker = plotext.marker("*" if ascii_only else "braille", colour)
        for stretch in _stretches(curve.values, times_unix_s):
            signal = figure.signal([at - now for at, _ in stretch], [v for _, v in stretch],
                                   marker=marker)  # fmt: skip
            figure.draw(signal.lines(True))
    return tuple(_pieces(text) for text in figure.build().string().rstrip("\n").split("\n"))


def legend(curves: Sequence[Curve], label: Callable[[float], str]) -> Line:
    """The names of the curves in their colours, each with its newest value."""
    pieces: list[Piece] = []
    for curve, (_, style) in zip(curves, _COLOURS, strict=False):
        last = curve.values[-1] if curve.values else None
        text = units.UNKNOWN if last is None else label(last)
        pieces += [Piece("━ ", style), Piece(f"{curve.name} "), Piece(f"{text}   ", "strong")]
    return tuple(pieces)


def _stretches(
    values: Sequence[float | None], times: Sequence[float]
) -> list[list[tuple[float, float]]]:
    stretches: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(times, values, strict=False):
        if value is not None:
            stretches[-1].append((at, value))
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _time_ticks(times_unix_s: Sequence[float]) -> tuple[list[float], list[str]]:
    """Marks at whole steps back from now, so that each label is true to its place."""
    span = times_unix_s[-1] - times_unix_s[0]
    step = next((step for step in _STEPS_S if span / step <= _TICKS - 1), span / (_TICKS - 1))
    places = [-step * i for i in range(int(span / step) + 1)]
    return places, ["now" if place == 0 else f"-{units.span_text(-place)}" for place in places]


def _pieces(text: str) -> Line:
    """Read back the colours that plotext wrote, as the names of our styles."""
    pieces: list[Piece] = []
    style: StyleName = ""
    position = 0
    for match in _ESCAPE.finditer(text):
        if match.start() > position:
            pieces.append(Piece(text[position : match.start()], style))
        position = match.end()
        code = match[1].removeprefix("38;5;")
        if match[1] == "0":
            style = ""
        elif code != match[1]:
            style = _STYLE_OF_CODE.get(code, "")
    if position < len(text):
        pieces.append(Piece(text[position:], style))
    return tuple(pieces)
