"""The newest runs of a host."""

from __future__ import annotations

from aiconsole import units
from aiconsole.onhost.wire import RunSummary
from aiconsole.tui.present.line import Line, Piece, StyleName, columns_of, fit, line

_OUTCOME: dict[str, tuple[str, StyleName]] = {
    "done": ("✓", "good"), "unchanged": ("=", "dim"), "undone": ("↺", "warn"),
    "cancelled": ("↺", "warn"), "broken": ("✗", "bad"), "running": ("▶", "accent"),
    "interrupted": ("?", "warn"),
}  # fmt: skip
_TITLE_MIN = 26


def run_line(host: str, run: RunSummary, now_unix_s: float, columns: int) -> Line:
    """Outcome, age and what was done; how long, by whom and the word for it as room allows."""
    glyph, style = _OUTCOME.get(run.outcome, ("·", "dim"))
    ago = units.age_text(max(0.0, now_unix_s - run.started_unix_s))
    left = line(Piece(f"{glyph} ", style), Piece(f"{fit(ago, 6, 'right')}  ", "dim"))
    took = run.finished_unix_s - run.started_unix_s if run.finished_unix_s else 0.0
    more = [Piece(f"  {run.outcome}", style)]
    more += [Piece(f"  in {units.seconds_text(took)}", "dim")] if took else []
    more += [Piece(f"  {run.operator}", "dim")] if run.operator else []
    title = short_title(run.title, host)
    room = columns - columns_of(left)
    while more and columns_of(more) + min(len(title), _TITLE_MIN) > room:
        more.pop()
    return (*left, Piece(fit(title, max(0, room - columns_of(more)))), *more)


def short_title(title: str, host: str) -> str:
    """`Deploy x to web1` without the host: its own screen says which one it is."""
    for link in (" to ", " on "):
        title = title.removesuffix(f"{link}{host}")
    return title
