"""How an operation stands or ended on one host, in the few lines that matter."""

from __future__ import annotations

import time

from aiconsole import units
from aiconsole.control.events import PlanReady, Result
from aiconsole.errors import AiconsoleError
from aiconsole.onhost.wire import SwapTally
from aiconsole.tui.failure import failure_of
from aiconsole.tui.present.line import Line, Piece, StyleName, line
from aiconsole.tui.present.progress import HostProgress

_OUTCOME: dict[str, tuple[str, StyleName]] = {
    "done": ("✓", "good"), "unchanged": ("✓", "good"), "planned": ("✓", "good"),
    "undone": ("↺", "warn"), "cancelled": ("↺", "warn"), "skipped": ("·", "dim"),
    "refused": ("▲", "warn"), "failed": ("✗", "bad"), "broken": ("✗", "bad"),
    "unknown": ("◐", "warn"),
}  # fmt: skip


def outcome_lines(progress: HostProgress, ended: bool) -> tuple[Line, ...]:
    """The result, or what is being done right now; a lost link is neither good nor bad."""
    if progress.result is not None:
        return _result_lines(progress.result, progress.plan)
    if progress.link_lost:
        return (
            line(Piece("◐ unknown ", "warn"), Piece(progress.link_lost)),
            line("  ", Piece("The run goes on on the host; it is looked for again.", "dim")),
        )
    if progress.busy is not None:
        since = time.strftime("%H:%M:%S", time.localtime(progress.busy.started_unix_s))
        by = f"by {progress.busy.operator} since {since}"
        return (
            line(Piece("▲ busy ", "warn"), Piece(f"{progress.busy.title}, {by}")),
            line("  ", Piece(f":attach {progress.host} {progress.busy.run_id}", "accent"),
                 Piece(" follows it", "dim")),
        )  # fmt: skip
    if progress.undoing:
        return (line(Piece("↺ taking back what was done: ", "warn"), Piece(progress.undoing)),)
    part = progress.working
    if part is None and progress.plan is not None and not ended:
        return (line(Piece("▲ the plan waits for an answer", "warn")),)
    if part is None:
        return (line(Piece("· nothing was told" if ended else "· waiting", "dim")),)
    _, words, _ = short_state(progress)
    where = f"  {words}" if part in progress.steps else ""
    return (line(Piece("▶ ", "accent"), Piece(part.title, "strong"), Piece(where, "dim")),)


def error_lines(error: AiconsoleError) -> tuple[Line, ...]:
    """An error that ended everything."""
    return failure_of(error).lines()


def _result_lines(result: Result, plan: PlanReady | None) -> tuple[Line, ...]:
    glyph, style = _OUTCOME[result.outcome]
    head = [
        Piece(f"{glyph} {result.outcome}", style),
        Piece("  "),
        Piece(_title(result, plan), "strong"),
    ]
    if result.elapsed_s:
        head.append(Piece(f"  in {units.seconds_text(result.elapsed_s)}", "dim"))
    lines: list[Line] = [tuple(head)]
    if result.url:
        lines.append(line("  ", Piece(result.url, "accent")))
    if result.tally is not None:
        lines += _tally_lines(result.tally)
    if result.client_key is not None:
        lines.append(
            line("  New client key, shown once: ", Piece(result.client_key.reveal(), "strong"))
        )
    if result.error is not None:
        lines += _error_lines(result)
    return tuple(lines)


def _title(result: Result, plan: PlanReady | None) -> str:
    if result.title.lower() != result.outcome:
        return result.title
    if result.release_id:
        return f"{result.host} serves {result.release_id}"
    return plan.plan.title if plan is not None else result.host


def _error_lines(result: Result) -> list[Line]:
    assert result.error is not None
    failure = failure_of(result.error)
    title = failure.title if failure.title != result.title else ""
    texts = [
        Piece(title, "strong"), Piece(failure.detail), Piece(failure.hint, "accent"),
    ]  # fmt: skip
    return [line("  ", text) for text in texts if text.text]


def _tally_lines(tally: SwapTally) -> list[Line]:
    if not tally.requests_served and not tally.requests_failed and not tally.probes:
        load = units.seconds_text(tally.load_s)
        return [line(Piece(f"  nobody was served before; loaded in {load}", "dim"))]
    failed: StyleName = "bad" if tally.requests_failed else "good"
    mark = "✗ " if tally.requests_failed else ""
    counts = line(
        "  during the swap: ", Piece(f"{tally.requests_served:,}", "strong"), " requests served, ",
        Piece(f"{mark}{tally.requests_failed} failed", failed), ", longest wait ",
        Piece(units.seconds_text(tally.longest_wait_s), "strong"),
    )  # fmt: skip
    probes = f"{tally.probes_failed} of {tally.probes} probes failed"
    rest = f"  swap {units.seconds_text(tally.elapsed_s)}, load {units.seconds_text(tally.load_s)}"
    return [counts, line(Piece(f"{rest}, {probes}", "dim"))]


def short_state(progress: HostProgress) -> tuple[str, str, StyleName]:
    """Glyph, words and style of a host in a list of hosts."""
    if progress.result is not None:
        glyph, style = _OUTCOME[progress.result.outcome]
        return glyph, progress.result.outcome, style
    if progress.link_lost:
        return "◐", "unknown", "warn"
    if progress.busy is not None:
        return "▲", "busy", "warn"
    if progress.undoing:
        return "↺", "undoing", "warn"
    part = progress.working
    if part is None:
        return "·", "waiting", "dim"
    ended = sum(1 for step in progress.steps if step.state not in ("waiting", "working"))
    if part in progress.steps:
        return "▶", f"step {ended + 1} of {len(progress.steps)}", "accent"
    return "▶", part.key, "accent"
