"""An operation on one host: what was prepared, what the plan changes, how far it is."""

from __future__ import annotations

from rich.cells import cell_len

from aiconsole import units
from aiconsole.onhost.wire import ChangeKind, StepCheck
from aiconsole.tui.present.diff import diff_lines
from aiconsole.tui.present.line import (
    Line,
    Piece,
    StyleName,
    columns_of,
    fit,
    fit_line,
    line,
    spread,
)
from aiconsole.tui.present.progress import HostProgress, Part, PartState
from aiconsole.tui.present.sparkline import meter
from aiconsole.tui.present.wrap import wrap

_STATE: dict[PartState, tuple[str, StyleName]] = {
    "waiting": ("·", "dim"), "working": ("▶", "accent"), "done": ("✓", "good"),
    "unchanged": ("=", "dim"), "failed": ("✗", "bad"), "undone": ("↺", "warn"),
    "cut": ("?", "warn"),
}  # fmt: skip
_CHANGE: dict[ChangeKind, tuple[str, StyleName]] = {
    "none": ("=", "dim"), "create": ("+", "add"), "change": ("~", "accent"),
    "act": ("▸", "accent"), "unknown": ("?", "dim"),
}  # fmt: skip
_METER = 24


def operation_lines(
    progress: HostProgress, now_s: float, columns: int, show_diff: bool
) -> tuple[Line, ...]:
    """Everything that is known, top to bottom, as a page that can be scrolled."""
    lines: list[Line] = [line(Piece("Preparation", "head"))]
    lines += [_part_line(part, now_s, columns) for part in progress.phases]
    if not progress.phases:
        lines.append(line("  ", Piece("waiting for its turn", "dim")))
    if progress.plan is not None or progress.steps:
        lines += [(), *_plan_head(progress, columns)]
        lines += _step_lines(progress, now_s, columns, show_diff)
    if progress.log:
        lines += [(), line(Piece("Last lines of the release", "head"))]
        lines += [line("  ", Piece(text, "dim")) for text in progress.log]
    return tuple(fit_line(pieces, columns) if pieces else () for pieces in lines)


def _plan_head(progress: HostProgress, columns: int) -> list[Line]:
    plan = progress.plan
    if plan is None:
        return [line(Piece("Run on the host", "head"), Piece(f"  {progress.run_id}", "dim"))]
    changing = sum(1 for check in plan.report.steps if check.change != "none")
    facts = [f"{changing} of {len(plan.plan.steps)} steps change something"]
    if plan.upload_bytes:
        facts.append(f"{units.bytes_text(plan.upload_bytes)} to send")
    head = line(Piece("Plan", "head"), Piece("  " + " · ".join(facts), "dim"))
    notes = [pieces for note in plan.notes for pieces in _note(note, columns)]
    problems = [
        line(Piece("  ✗ ", "bad"), Piece(check.problem))
        for check in plan.report.steps
        if check.problem
    ]
    return [head, *notes, *problems]


def _note(note: str, columns: int) -> list[Line]:
    parts = wrap(note, max(10, columns - 4))
    return [
        (Piece("    " if number else "  ▲ ", "warn"), *part) for number, part in enumerate(parts)
    ]


def _step_lines(progress: HostProgress, now_s: float, columns: int, show_diff: bool) -> list[Line]:
    checks = {check.step_id: check for check in progress.plan.report.steps} if progress.plan else {}
    lines: list[Line] = []
    for part in progress.steps:
        check = checks.get(part.key)
        if part.state == "waiting" and check is not None:
            lines.append(_planned_line(part, check, columns))
        else:
            lines.append(_part_line(part, now_s, columns))
        if show_diff and check is not None and check.diff:
            lines += diff_lines(check.diff)
    return lines


def _planned_line(part: Part, check: StepCheck, columns: int) -> Line:
    glyph, style = _CHANGE[check.change]
    quiet = check.change == "none"
    left = line("  ", Piece(f"{glyph} ", style), Piece(part.title, "dim" if quiet else ""))
    note = check.note or ("as it should be" if quiet else "")
    room = columns - columns_of(left) - 2
    if not note or room < 8:
        return left
    # The title stays whole; of a long path the end is what can be missed.
    shown = fit(note, min(room, cell_len(note)))
    return spread(left, line("  ", Piece(shown, "dim")), columns)


def _part_line(part: Part, now_s: float, columns: int) -> Line:
    glyph, style = _STATE[part.state]
    left: Line = line("  ", Piece(f"{glyph} ", style), Piece(part.title, _title_style(part)))
    if part.state == "working" and part.total_bytes:
        return _transfer_line(left, part, columns)
    if part.state in ("failed", "undone", "cut"):
        word = {"failed": "failed", "undone": "taken back", "cut": "end not known"}[part.state]
        left = (*left, Piece(f"  {word}", style))
    if part.note and not part.title.startswith(part.note):
        left = (*left, Piece(f"  {part.note}", "dim"))
    return spread(left, line("  ", Piece(_elapsed(part, now_s), "dim")), columns)


def _title_style(part: Part) -> StyleName:
    if part.state == "working":
        return "strong"
    return "dim" if part.state in ("waiting", "unchanged") else ""


def _transfer_line(left: Line, part: Part, columns: int) -> Line:
    """How much of how much, how fast, and how long it will take."""
    share = 100.0 * part.done_bytes / part.total_bytes
    done, total = units.bytes_text(part.done_bytes), units.bytes_text(part.total_bytes)
    figures = f" {done:>7} of {total:>7}"
    if part.rate_bytes_per_s:
        figures += f"  {units.rate_text(part.rate_bytes_per_s):>9}"
    if part.left_s is not None:
        figures += f"  {units.span_text(part.left_s):>6} left"
    width = _METER if columns_of(left) + _METER + len(figures) + 2 <= columns else 10
    right = line("  ", Piece(meter(share, width), "accent"), Piece(figures))
    return spread(left, right, columns)


def _elapsed(part: Part, now_s: float) -> str:
    if part.state == "working":
        return units.span_text(max(0.0, now_s - part.started_s))
    return units.seconds_text(part.elapsed_s) if part.elapsed_s else ""
