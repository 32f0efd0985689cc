"""How a host is reached, over its panels."""

from __future__ import annotations

from aiconsole import units
from aiconsole.telemetry.sample import HostView
from aiconsole.tui.present.health import FRESHNESS_STYLE, freshness, mark_of
from aiconsole.tui.present.host_summary import next_lines
from aiconsole.tui.present.line import Line, Piece, columns_of
from aiconsole.tui.present.wrap import wrap

_MAX_REASON_LINES = 3


def state_lines(
    view: HostView, age_s: float | None, interval_s: float, columns: int
) -> tuple[Line, ...]:
    """One line where all is well; the whole reason and what to do where it is not."""
    mark = mark_of(view, age_s, interval_s)
    head: list[Piece] = [Piece(f" {mark.glyph} {mark.word}", mark.style)]
    head += _age(age_s, interval_s, mark.word == "up")
    frame = view.sample.frame
    if frame is not None and frame.host.uptime_s is not None:
        head.append(Piece(f"  up for {units.span_text(frame.host.uptime_s)}", "dim"))
    reason = view.sample.reason
    if not reason:
        return (tuple(head),)
    short = Piece(f"  {reason}", mark.style)
    if columns_of(head) + short.columns <= columns:
        return ((head[0], short, *head[1:]), *next_lines(view))
    rest = wrap(reason, max(10, columns - 4), mark.style)[:_MAX_REASON_LINES]
    return (tuple(head), *((Piece("   "), *part) for part in rest), *next_lines(view))


def _age(age_s: float | None, interval_s: float, live: bool) -> list[Piece]:
    if age_s is None:
        return []
    text = f"  read {units.age_text(age_s)} ago"
    if not live:
        text += ": what is shown below is not the present"
    return [Piece(text, FRESHNESS_STYLE[freshness(age_s, interval_s)])]
