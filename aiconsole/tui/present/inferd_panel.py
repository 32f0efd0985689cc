"""The service on one host: its state, and what its users notice."""

from __future__ import annotations

from aiconsole import units
from aiconsole.onhost.wire import InferdReading
from aiconsole.telemetry.sample import HostView, MetricName
from aiconsole.tui.present.health import INFERD
from aiconsole.tui.present.line import Line, Piece, StyleName, fit, line, muted
from aiconsole.tui.present.sparkline import sparkline

_LABEL = 12
_VALUE = 8
_NEXT: dict[str, str] = {
    "absent": "nothing is deployed here: d deploys",
    "stopped": "stopped on purpose: S starts it",
}


def inferd_lines(view: HostView, columns: int, live: bool) -> tuple[Line, ...]:
    """The state in one line, the figures below in as many columns as there is room for."""
    frame = view.sample.frame
    if frame is None:
        return (line(Piece("no reading yet", "dim")),)
    inferd = frame.inferd
    head = _state_line(inferd)
    if not live:
        (head,) = muted((head,))
    if inferd.state in _NEXT:
        return (head, line(Piece(_NEXT[inferd.state], "dim")))
    if inferd.state not in ("ready", "not-ready"):
        return (head,)
    return (head, *_figures(view, inferd, columns, live))


def _state_line(inferd: InferdReading) -> Line:
    mark = INFERD[inferd.state]
    pieces = [Piece(f"{mark.glyph} {mark.word}", mark.style)]
    if inferd.release_id:
        pieces += [Piece("  "), Piece(inferd.release_id, "strong")]
    if inferd.slot:
        pieces.append(Piece(f"  slot {inferd.slot}", "dim"))
    if inferd.address:
        pieces.append(Piece(f"  http://{inferd.address}", "dim"))
    if inferd.reason:
        pieces += [Piece("  "), Piece(inferd.reason, mark.style)]
    return tuple(pieces)


def _figures(view: HostView, inferd: InferdReading, columns: int, live: bool) -> tuple[Line, ...]:
    across = 3 if columns >= 110 else 2
    room = (columns - 2 * (across - 1)) // across
    errors: StyleName = "bad" if inferd.errors_per_s else ""
    errors_text = ("✗" if inferd.errors_per_s else "") + units.count_text(inferd.errors_per_s)
    cells = (
        _cell(view, "requests/s", units.count_text(inferd.requests_per_s), room, live,
              "requests_per_s"),
        _cell(view, "tokens/s", units.count_text(inferd.tokens_per_s), room, live,
              "tokens_per_s"),
        _cell(view, "latency p95", units.seconds_text(inferd.latency_p95_s), room, live,
              "latency_p95_s"),
        _cell(view, "running", units.count_text(inferd.running), room, live, "running"),
        _cell(view, "waiting", units.count_text(inferd.waiting), room, live, "waiting"),
        _cell(view, "first token", units.seconds_text(inferd.ttft_p95_s), room, live,
              "ttft_p95_s"),
        _cell(view, "errors/s", errors_text, room, live, "errors_per_s", errors),
        _cell(view, "latency p50", units.seconds_text(inferd.latency_p50_s), room, live),
    )  # fmt: skip
    rows = [cells[i : i + across] for i in range(0, len(cells), across)]
    return tuple(
        tuple(piece for n, cell in enumerate(row) for piece in ((Piece("  "),) if n else ()) + cell)
        for row in rows
    )


def _cell(
    view: HostView, label: str, text: str, columns: int, live: bool,
    metric: MetricName | None = None, style: StyleName = "",
) -> Line:  # fmt: skip
    room = max(0, columns - _LABEL - _VALUE - 1)
    bars = sparkline(view.history.of(metric), room) if metric else " " * room
    return (
        Piece(fit(label, _LABEL), "dim"),
        Piece(fit(text, _VALUE, "right"), style if live else "dim"),
        Piece(" "),
        Piece(bars, "accent" if live else "dim"),
    )
