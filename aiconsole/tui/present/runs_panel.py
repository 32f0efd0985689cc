"""The newest runs of a host."""

from __future__ import annotations

from aiconsole import units
from aiconsole.errors import AiconsoleError
from aiconsole.onhost.wire import RunSummary
from aiconsole.tui.failure import failure_of
from aiconsole.tui.present.line import Line, Piece, StyleName, fit, line

_OUTCOME: dict[str, tuple[str, StyleName]] = {
    "done": ("✓", "good"), "unchanged": ("=", "dim"), "undone": ("↺", "warn"),
    "cancelled": ("↺", "warn"), "broken": ("✗", "bad"), "running": ("▶", "accent"),
    "interrupted": ("?", "warn"),
}  # fmt: skip


def runs_lines(
    host: str, runs: tuple[RunSummary, ...], error: AiconsoleError | None, now_unix_s: float
) -> tuple[Line, ...]:
    """Newest first; one at work says how to follow it."""
    if error is not None:
        return failure_of(error).lines()
    if not runs:
        return (line(Piece("nothing was done here yet: d deploys", "dim")),)
    lines: list[Line] = []
    for run in runs:
        glyph, style = _OUTCOME.get(run.outcome, ("·", "dim"))
        ago = units.age_text(max(0.0, now_unix_s - run.started_unix_s))
        took = run.finished_unix_s - run.started_unix_s if run.finished_unix_s else 0.0
        ended = f" in {units.seconds_text(took)}" if took else ""
        lines.append(
            line(Piece(f"{glyph} ", style), Piece(f"{fit(ago, 6, 'right')}  ", "dim"),
                 Piece(run.title), Piece(f"  {run.outcome}", style),
                 Piece(f"{ended}  {run.operator}", "dim"))
        )  # fmt: skip
        if run.outcome == "running":
            lines.append(line("  ", Piece(f":attach {host} {run.run_id}", "accent")))
    return tuple(lines)
