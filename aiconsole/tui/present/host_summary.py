"""One host in a few lines, under the table of the fleet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from aiconsole import units
from aiconsole.onhost.wire import Frame
from aiconsole.telemetry.sample import HostView, MetricName, Reach
from aiconsole.tui.present.chart import chart
from aiconsole.tui.present.health import FRESHNESS_STYLE, INFERD, freshness, mark_of
from aiconsole.tui.present.line import Line, Piece, StyleName, fit, fit_line, line, muted
from aiconsole.tui.present.sparkline import sparkline
from aiconsole.tui.present.wrap import wrap

_LABEL = 10
_VALUE = 11
_ROWS_FOR_CHARTS = 13


_NEXT: dict[Reach, tuple[Line, ...]] = {
    "refused": (
        line(Piece("t", "accent"), Piece(" shows its key, to compare and to trust it", "dim")),
    )
}
"""What a person can do where only a person can."""


def next_lines(view: HostView) -> tuple[Line, ...]:
    """What the operator can do about a host that is not reached; empty where nothing."""
    return _NEXT.get(view.sample.reach, ())


def host_summary(
    view: HostView, columns: int, rows: int, now_monotonic_s: float, interval_s: float
) -> tuple[Line, ...]:
    """Reach, service, and the metrics that matter with their last minutes, as room allows."""
    age_s = view.sample.age_s(now_monotonic_s)
    first = _reach_line(view, age_s, interval_s)
    frame = view.sample.frame
    if frame is None or view.sample.reach not in ("up", "stale"):
        since = view.sample.since_unix_s
        when = time.strftime("%H:%M:%S", time.localtime(since)) if since else ""
        rest = line(Piece(f"since {when}", "dim")) if when else ()
        reason = wrap(view.sample.reason, columns, "bad" if when else "dim")
        return (first, *reason, *next_lines(view), rest)
    live = mark_of(view, age_s, interval_s).word == "up"
    if rows >= _ROWS_FOR_CHARTS:
        charts = _chart_lines(view, frame, columns, rows - 3, live)
        return (first, _service_line(frame, live), (), *charts)
    return (first, _service_line(frame, live), *_metric_lines(view, frame, columns, live))


def _reach_line(view: HostView, age_s: float | None, interval_s: float) -> Line:
    mark = mark_of(view, age_s, interval_s)
    pieces = [Piece(f"{mark.glyph} {mark.word}", mark.style)]
    frame = view.sample.frame
    if frame is not None:
        fresh = freshness(age_s, interval_s)
        pieces.append(Piece(f"   read {units.age_text(age_s)} ago", FRESHNESS_STYLE[fresh]))
        host = frame.host
        facts = [f"{host.cpu_count} cores" if host.cpu_count else ""]
        facts.append(f"{units.memory_text(host.memory_total_bytes)} memory")
        if host.uptime_s is not None:
            facts.append(f"up for {units.span_text(host.uptime_s)}")
        pieces.append(Piece("   " + " · ".join(filter(None, facts)), "dim"))
    return tuple(pieces)


def _service_line(frame: Frame, live: bool) -> Line:
    inferd = frame.inferd
    mark = INFERD[inferd.state]
    pieces = [Piece(fit("inferd", _LABEL), "dim"), Piece(f"{mark.glyph} {mark.word}", mark.style)]
    if inferd.release_id:
        pieces += [Piece("  "), Piece(inferd.release_id, "strong")]
    if inferd.slot:
        pieces.append(Piece(f"  slot {inferd.slot}", "dim"))
    if inferd.address:
        pieces.append(Piece(f"  http://{inferd.address}", "dim"))
    if inferd.reason:
        pieces += [Piece("  "), Piece(inferd.reason, mark.style)]
    if inferd.state == "absent":
        pieces.append(Piece("  nothing is deployed here: d deploys", "dim"))
    return tuple(pieces) if live else muted((tuple(pieces),))[0]


@dataclass(frozen=True, slots=True)
class Quarter:
    """One of four graphs."""

    label: str
    text: str
    """The newest reading."""
    metric: MetricName
    scale: Callable[[float], str]
    top: float | None = None


def _chart_lines(
    view: HostView, frame: Frame, columns: int, rows: int, live: bool
) -> tuple[Line, ...]:
    """Four graphs in two rows; each says what it shows and its newest reading."""
    host, inferd = frame.host, frame.inferd
    width, height = (columns - 4) // 2, rows // 2
    memory = f"{units.percent(host.memory_percent)}  {units.memory_text(host.memory_used_bytes)}"
    served = any(value is not None for value in view.history.of("requests_per_s"))
    first: tuple[Quarter, ...] = (
        Quarter("CPU", units.percent(host.cpu_percent), "cpu_percent", units.percent, 100.0),
        Quarter("memory", memory, "memory_percent", units.percent, 100.0),
    )
    second: tuple[Quarter, ...] = (
        Quarter("requests/s", units.count_text(inferd.requests_per_s), "requests_per_s",
                units.count_text),
        Quarter("latency p95", units.seconds_text(inferd.latency_p95_s), "latency_p95_s",
                units.seconds_text),
    ) if served else (
        Quarter("network in", units.rate_text(host.network_rx_bytes_per_s),
                "network_rx_bytes_per_s", units.bytes_text),
        Quarter("disk write", units.rate_text(host.disk_write_bytes_per_s),
                "disk_write_bytes_per_s", units.bytes_text),
    )  # fmt: skip
    pairs = [
        tuple(_quarter(view, quarter, width, height, live) for quarter in pair)
        for pair in zip(first, second, strict=True)
    ]
    return tuple(
        (*fit_line(left, width), Piece("    "), *fit_line(right, width))
        for pair in pairs
        for left, right in zip(*pair, strict=True)
    )


def _quarter(
    view: HostView, quarter: Quarter, columns: int, rows: int, live: bool
) -> tuple[Line, ...]:
    value = Piece(quarter.text, "strong" if live else "dim")
    head = line(Piece(f"{quarter.label}  ", "dim"), value)
    values, times = view.history.of(quarter.metric), view.history.times_unix_s
    style: StyleName = "accent" if live else "dim"
    return (head, *chart(values, times, columns, rows - 1, quarter.scale, quarter.top, style))


def _metric_lines(view: HostView, frame: Frame, columns: int, live: bool) -> tuple[Line, ...]:
    wide = columns >= 76
    room = (columns - 4) // 2 if wide else columns
    left = (
        _metric(view, "CPU", units.percent(frame.host.cpu_percent), "cpu_percent", room, live, 100),
        _metric(view, "memory", units.percent(frame.host.memory_percent), "memory_percent", room,
                live, 100),
        _metric(view, "load", units.count_text(frame.host.load_1), "load_1", room, live),
    )  # fmt: skip
    inferd = frame.inferd
    right = (
        _metric(view, "requests/s", units.count_text(inferd.requests_per_s), "requests_per_s",
                room, live),
        _metric(view, "tokens/s", units.count_text(inferd.tokens_per_s), "tokens_per_s", room,
                live),
        _metric(view, "p95", units.seconds_text(inferd.latency_p95_s), "latency_p95_s", room,
                live),
    )  # fmt: skip
    if not wide:
        return (*left, *right)
    return tuple((*a, Piece("    "), *b) for a, b in zip(left, right, strict=True))


def _metric(
    view: HostView, label: str, text: str, metric: MetricName, columns: int, live: bool,
    top: float | None = None,
) -> Line:  # fmt: skip
    bars = sparkline(view.history.of(metric), max(0, columns - _LABEL - _VALUE - 1), top)
    return (
        Piece(fit(label, _LABEL), "dim"),
        Piece(fit(text, _VALUE, "right"), "" if live else "dim"),
        Piece(" "),
        Piece(bars, "accent" if live else "dim"),
    )
