"""A load at work, as one screenful: figures, the latency over time, failures, the client itself."""

from __future__ import annotations

from collections.abc import Sequence

from aiconsole.load.histogram import Histogram
from aiconsole.load.progress import Point, Progress
from aiconsole.load.strain import Strain
from aiconsole.tui.present.chart import Curve
from aiconsole.tui.present.line import Line, Piece, fit, fit_line, spread
from aiconsole.tui.present.plot import legend, plot
from aiconsole.units import UNKNOWN, count_text, percent, seconds_text, span_text

_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
_NAME, _CELL = 16, 11
_LEAST_PLOT_ROWS = 6
_MOST_KINDS = 3


def screenful(
    progress: Progress,
    strain: Strain,
    target: str,
    columns: int,
    rows: int,
    now_s: float,
    ascii_only: bool = False,
) -> tuple[Line, ...]:
    """Draw it in as many rows as there are.

    Args:
        progress: What was counted so far.
        strain: How the client fares.
        target: As the operator named it.
        columns: Width of the terminal.
        rows: Height of the terminal.
        now_s: The monotonic clock.
        ascii_only: Draw the plot with ASCII.
    """
    top = [_title(progress, target, columns, now_s), (), *_counts(progress), (), *_times(progress)]
    bottom = [*_failures(progress), *_client(strain), _last(progress)]
    left = rows - len(top) - len(bottom) - 2
    middle: list[Line] = []
    if left >= _LEAST_PLOT_ROWS:
        middle = [(), *_plot(progress, columns, left, ascii_only)]
    lines = [*top, *middle]
    lines += [()] * (rows - len(lines) - len(bottom))
    return tuple(fit_line(line, columns) for line in [*lines, *bottom][:rows])


def _title(progress: Progress, target: str, columns: int, now_s: float) -> Line:
    pace, shape = progress.spec.pace, progress.spec.shape
    how = f"{count_text(pace.rate)}/s" if pace.is_open else f"{pace.clients:,} clients"
    left = (Piece("load ", "head"), Piece(target, "strong"),
            Piece(f"  {shape.model} {shape.endpoint}, {how}", "dim"))  # fmt: skip
    passed_s = now_s - progress.from_s
    if passed_s < 0:
        state = f"warming up, {span_text(-passed_s)} left"
    elif progress.is_stopped:
        state = "ending"
    elif not pace.duration_s:
        state = f"{progress.total.sent:,} of {pace.requests:,} sent"
    elif passed_s > pace.duration_s:
        state = "waiting for the last answers"
    else:
        state = f"{span_text(passed_s)} of {span_text(pace.duration_s)}"
    return spread(left, (Piece(f"  {state}", "accent"),), columns)


def _counts(progress: Progress) -> list[Line]:
    total, length_s = progress.total, progress.measured_s
    now = progress.points[-1].answered if progress.points else None
    failed = total.failures
    mean = total.requests_in_window / length_s if length_s else None
    tokens_out, tokens_in = (
        n / length_s if length_s else None for n in (total.tokens_out, total.tokens_in)
    )
    first = (
        *_pair("requests/s", count_text(now)),
        *_pair("mean", count_text(mean)),
        *_pair("tokens/s out", count_text(tokens_out)),
        *_pair("in", count_text(tokens_in)),
    )
    second = (
        *_pair("answered", f"{total.answered:,}"),
        *_pair("at work", f"{progress.in_flight:,}"),
        *_pair("failed", f"{failed:,} !" if failed else "0", bad=bool(failed)),
    )
    if total.not_sent:
        second = (*second, *_pair("not sent", f"{total.not_sent:,} !", bad=True))
    return [first, second]


def _pair(name: str, value: str, *, bad: bool = False) -> Line:
    return (
        Piece(f"{name} ", "dim"),
        Piece(fit(value, max(7, len(value))), "bad" if bad else "strong"),
        Piece("  "),
    )


def _times(progress: Progress) -> list[Line]:
    total = progress.total
    heads = (Piece(fit(name, _CELL, "right"), "dim") for name, _ in _QUANTILES)
    lines: list[Line] = [(Piece(" " * _NAME), *heads), _row("latency", total.latency)]
    if progress.spec.streams:
        lines.append(_row("first token", total.first_token))
        lines.append(_row("between tokens", total.between))
    return lines


def _row(name: str, histogram: Histogram) -> Line:
    values = (histogram.quantile(share) for _, share in _QUANTILES)
    texts = (UNKNOWN if value is None else seconds_text(value) for value in values)
    return (Piece(fit(name, _NAME), "dim"), *(Piece(fit(text, _CELL, "right")) for text in texts))


def _plot(progress: Progress, columns: int, rows: int, ascii_only: bool) -> Sequence[Line]:
    points = _thinned(progress.points, 2 * columns)
    curves = (
        Curve("p99 of a second", [point.p99_s for point in points]),
        Curve("p50 of a second", [point.p50_s for point in points]),
    )
    drawn = plot(
        curves, [p.at_s for p in points], columns, rows - 1, seconds_text, None, ascii_only
    )
    return [(Piece("Latency   ", "head"), *legend(curves, seconds_text)), *drawn]


def _thinned(points: Sequence[Point], most: int) -> Sequence[Point]:
    """No more points than can be seen; each stands for its group, by the worst of its seconds."""
    group = -(-len(points) // most)
    if group <= 1:
        return points
    return [
        max(points[start : start + group], key=lambda point: point.p99_s or 0.0)
        for start in range(0, len(points), group)
    ]


def _failures(progress: Progress) -> list[Line]:
    total = progress.total
    kinds = sorted(total.failed.items(), key=lambda pair: -pair[1])
    lines: list[Line] = [
        (Piece(f"! {count:>7,} ", "bad"), Piece(kind), Piece(f"  {total.examples[kind]}", "dim"))
        for kind, count in kinds[:_MOST_KINDS]
    ]
    if more := kinds[_MOST_KINDS:]:
        lines[-1] = (*lines[-1][:2], Piece(f", and {len(more)} other kinds", "dim"))
    return lines


def _client(strain: Strain) -> list[Line]:
    if strain.reasons:
        return [(Piece("! client: ", "warn"), Piece(reason)) for reason in strain.reasons]
    lag = seconds_text(strain.loop_lag_p99_s)
    return [(Piece(f"client: {percent(strain.cpu * 100)} of a core, {lag} behind", "dim"),)]


def _last(progress: Progress) -> Line:
    if progress.is_stopped:
        return (Piece("Ending; Ctrl-C again leaves without a report", "dim"),)
    return (Piece("Ctrl-C ends it and reports", "dim"),)
