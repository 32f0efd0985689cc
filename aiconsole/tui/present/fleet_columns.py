"""The columns of the fleet, and which of them give way on a narrow terminal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from aiconsole.tui.present.line import Align, Line, Piece, fit

ColumnName: TypeAlias = Literal[
    "host", "reach", "inferd", "release", "cpu", "cpu-trend", "memory", "gpu", "requests",
    "requests-trend", "tokens", "p95", "errors", "age",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table."""

    name: ColumnName
    title: str
    columns: int
    """Width in characters."""
    align: Align = "right"
    grows_to: int = 0
    """Width up to which it takes what the terminal has left; 0 for a fixed one."""


COLUMNS: tuple[Column, ...] = (
    Column("host", "Host", 10, "left", grows_to=26),
    Column("reach", "Reach", 13, "left"),
    Column("inferd", "inferd", 9, "left"),
    Column("release", "Release", 16, "left", grows_to=26),
    Column("cpu", "CPU", 5),
    Column("cpu-trend", "", 8, grows_to=16),
    Column("memory", "Mem", 5),
    Column("gpu", "GPU", 6),
    Column("requests", "Req/s", 5),
    Column("requests-trend", "", 8, grows_to=16),
    Column("tokens", "Tok/s", 5),
    Column("p95", "p95", 7),
    Column("errors", "Err/s", 5),
    Column("age", "Age", 7),
)

DROP_ORDER: tuple[ColumnName, ...] = (
    "requests-trend", "tokens", "p95", "cpu-trend", "release", "gpu", "memory", "errors", "cpu",
    "requests", "inferd", "age", "reach",
)  # fmt: skip
"""What goes first when the terminal is too narrow; the host's name always stays."""

EDGE_COLUMNS = 2
"""Before the first column: the cursor and the mark."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The columns that fit, and the space between them."""

    columns: tuple[Column, ...]
    gap: str


def grid_for(width: int) -> Grid:
    """The columns that a table of `width` has room for, spread to fill it."""
    shown = list(COLUMNS)
    for name in DROP_ORDER:
        if _width(shown, 1) <= width:
            break
        shown = [column for column in shown if column.name != name]
    gap = 2 if _width(shown, 2) <= width else 1
    return Grid(_grow(shown, width - _width(shown, gap)), " " * gap)


def header(grid: Grid) -> Line:
    """The titles, aligned as what stands below them."""
    titles = grid.gap.join(fit(c.title, c.columns, c.align) for c in grid.columns)
    return (Piece(" " * EDGE_COLUMNS), Piece(titles, "head"))


def _width(columns: list[Column], gap: int) -> int:
    return EDGE_COLUMNS + sum(c.columns for c in columns) + gap * max(0, len(columns) - 1)


def _grow(columns: list[Column], spare: int) -> tuple[Column, ...]:
    grown: list[Column] = []
    for column in columns:
        extra = min(max(0, spare), max(0, column.grows_to - column.columns))
        grown.append(replace(column, columns=column.columns + extra))
        spare -= extra
    if spare < 0:
        first = grown[0]
        grown[0] = replace(first, columns=max(1, first.columns + spare))
    return tuple(grown)
