"""One host as a row of the fleet: what is not live does not look live."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiconsole import units
from aiconsole.onhost.wire import Frame
from aiconsole.telemetry.sample import HostView
from aiconsole.tui.present.fleet_columns import Column, ColumnName, Grid
from aiconsole.tui.present.health import (
    FRESHNESS_GLYPH,
    FRESHNESS_STYLE,
    INFERD,
    freshness,
    mark_of,
    throttled,
)
from aiconsole.tui.present.line import Line, Piece, StyleName, fit
from aiconsole.tui.present.sparkline import sparkline

MEMORY_TIGHT_PERCENT = 95.0


@dataclass(frozen=True, slots=True)
class RowState:
    """What a row needs beside the host itself."""

    now_monotonic_s: float
    interval_s: float
    """Of the refresh; ages are judged by it."""
    marked: bool = False
    under_cursor: bool = False


def fleet_row(view: HostView, grid: Grid, state: RowState) -> Line:
    """Draw a host over the given columns; one that is not reached says why instead of numbers."""
    age_s = view.sample.age_s(state.now_monotonic_s)
    mark = mark_of(view, age_s, state.interval_s)
    edge = (
        Piece("▌" if state.under_cursor else " ", "accent"),
        Piece("◆" if state.marked else " ", "accent"),
    )
    cells: list[Piece] = []
    reason_from = _reason_start(view, grid.columns)
    for index, column in enumerate(grid.columns):
        if cells:
            cells.append(Piece(grid.gap))
        if index == reason_from:
            room = _room(grid, index)
            cells.append(Piece(fit(view.sample.reason or "no reading yet", room), "dim"))
        elif reason_from is not None and index > reason_from and column.name != "age":
            cells.pop()
        elif column.name == "host":
            cells.append(Piece(fit(view.name, column.columns), "strong"))
        elif column.name == "reach":
            cells.append(Piece(fit(f"{mark.glyph} {mark.word}", column.columns), mark.style))
        elif column.name == "age":
            cells.append(_age(age_s, state.interval_s, column))
        else:
            cells.append(_reading(view, column, live=mark.word == "up"))
    return (*edge, *cells)


def _reason_start(view: HostView, columns: tuple[Column, ...]) -> int | None:
    """Index of the first column that gives way to the reason; None where there are readings."""
    if view.sample.reach in ("up", "stale") and view.sample.frame is not None:
        return None
    names = [column.name for column in columns]
    return next((i for i, name in enumerate(names) if name not in ("host", "reach", "age")), None)


def _room(grid: Grid, start: int) -> int:
    taken = [column.columns for column in grid.columns[start:] if column.name != "age"]
    return sum(taken) + len(grid.gap) * (len(taken) - 1)


def _age(age_s: float | None, interval_s: float, column: Column) -> Piece:
    fresh = freshness(age_s, interval_s)
    text = FRESHNESS_GLYPH[fresh] + units.age_text(age_s)
    return Piece(fit(text, column.columns, "right"), FRESHNESS_STYLE[fresh])


def _reading(view: HostView, column: Column, live: bool) -> Piece:
    frame = view.sample.frame
    assert frame is not None
    if column.name == "cpu-trend":
        values = view.history.of("cpu_percent")
        return Piece(sparkline(values, column.columns, 100.0), "accent" if live else "dim")
    if column.name == "requests-trend":
        values = view.history.of("requests_per_s")
        return Piece(sparkline(values, column.columns), "accent" if live else "dim")
    text, style = _READINGS[column.name](frame)
    return Piece(fit(text, column.columns, column.align), style if live else "dim")


def _inferd(frame: Frame) -> tuple[str, StyleName]:
    mark = INFERD[frame.inferd.state]
    return mark.word, mark.style


def _memory(frame: Frame) -> tuple[str, StyleName]:
    used = frame.host.memory_percent
    if used is not None and used >= MEMORY_TIGHT_PERCENT:
        return f"▲{units.percent(used)}", "warn"
    return units.percent(used), ""


def _gpu(frame: Frame) -> tuple[str, StyleName]:
    if frame.gpu_state == "none":
        return "none", "dim"
    if frame.gpu_state == "fault" or any(gpu.fault for gpu in frame.gpus):
        return "✗fault", "bad"
    known = [g.utilization_percent for g in frame.gpus if g.utilization_percent is not None]
    text = units.percent(sum(known) / len(known) if known else None)
    if throttled(frame):
        return f"▲{text}", "warn"
    return text, "" if known else "dim"


def _errors(frame: Frame) -> tuple[str, StyleName]:
    errors = frame.inferd.errors_per_s
    if errors:
        return f"✗{units.count_text(errors)}", "bad"
    return units.count_text(errors), "dim"


def _plain(text: str) -> tuple[str, StyleName]:
    return text, "dim" if text == units.UNKNOWN else ""


_READINGS: dict[ColumnName, Callable[[Frame], tuple[str, StyleName]]] = {
    "inferd": _inferd,
    "release": lambda frame: _plain(frame.inferd.release_id or units.UNKNOWN),
    "cpu": lambda frame: _plain(units.percent(frame.host.cpu_percent)),
    "memory": _memory,
    "gpu": _gpu,
    "requests": lambda frame: _plain(units.count_text(frame.inferd.requests_per_s)),
    "tokens": lambda frame: _plain(units.count_text(frame.inferd.tokens_per_s)),
    "p95": lambda frame: _plain(units.seconds_text(frame.inferd.latency_p95_s)),
    "errors": _errors,
}
