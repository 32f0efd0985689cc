"""A history in a few columns of one row."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
GAP = " "
"""Nothing is known of that moment."""


def sparkline(values: Sequence[float | None], columns: int, top: float | None = None) -> str:
    """Draw the newest `columns` values, right-aligned; zero to `top` (or the largest seen).

    A measured zero is the lowest bar and not a gap, and a flat zero history stays flat.
    """
    shown = values[-columns:] if columns > 0 else ()
    known = [value for value in shown if value is not None]
    scale = top if top is not None else max(known, default=0.0)
    return "".join(_bar(value, scale) for value in shown).rjust(columns)


def _bar(value: float | None, scale: float) -> str:
    if value is None:
        return GAP
    if scale <= 0:
        return _BARS[0]
    share = min(1.0, max(0.0, value / scale))
    return _BARS[min(len(_BARS) - 1, int(share * len(_BARS)))]


def meter(percent: float | None, columns: int) -> str:
    """A horizontal bar of `columns`, filled to a share of 0 to 100."""
    if percent is None:
        return " " * columns
    filled = round(min(100.0, max(0.0, percent)) / 100 * columns)
    return "━" * filled + "─" * (columns - filled)
