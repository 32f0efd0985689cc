"""How a host is doing, in a glyph, a word and a style; and how bad that is beside others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from aiconsole.onhost.wire import HARD_THROTTLES, Frame, InferdState
from aiconsole.telemetry.sample import HostView, Reach
from aiconsole.tui.present.line import StyleName

Freshness: TypeAlias = Literal["fresh", "late", "old", "none"]

LATE_AFTER_INTERVALS = 2
OLD_AFTER_INTERVALS = 5


@dataclass(frozen=True, slots=True)
class Mark:
    """A state: never told by its colour alone."""

    glyph: str
    word: str
    style: StyleName


REACH: dict[Reach, Mark] = {
    "connecting": Mark("◌", "connecting", "dim"),
    "up": Mark("●", "up", "good"),
    "stale": Mark("◐", "stale", "warn"),
    "unreachable": Mark("✗", "unreachable", "bad"),
    "refused": Mark("✗", "refused", "bad"),
    "failed": Mark("▲", "no probe", "bad"),
}

INFERD: dict[InferdState, Mark] = {
    "unknown": Mark("-", "-", "dim"),
    "absent": Mark("-", "none", "dim"),
    "stopped": Mark("■", "stopped", "dim"),
    "starting": Mark("◌", "starting", "warn"),
    "ready": Mark("●", "ready", "good"),
    "not-ready": Mark("▲", "not ready", "warn"),
    "no-answer": Mark("✗", "no answer", "bad"),
}

_REACH_RANK: dict[Reach, int] = {
    "unreachable": 90, "refused": 90, "failed": 85, "stale": 55, "connecting": 20, "up": 0,
}  # fmt: skip
_INFERD_RANK: dict[InferdState, int] = {
    "no-answer": 75, "not-ready": 40, "starting": 30, "stopped": 10, "absent": 5, "unknown": 3,
    "ready": 0,
}  # fmt: skip


def freshness(age_s: float | None, interval_s: float) -> Freshness:
    """`late` from twice the refresh interval on, `old` from five times."""
    if age_s is None:
        return "none"
    if age_s >= OLD_AFTER_INTERVALS * interval_s:
        return "old"
    return "late" if age_s >= LATE_AFTER_INTERVALS * interval_s else "fresh"


FRESHNESS_STYLE: dict[Freshness, StyleName] = {
    "fresh": "dim", "late": "warn", "old": "bad", "none": "dim",
}  # fmt: skip
FRESHNESS_GLYPH: dict[Freshness, str] = {"fresh": "", "late": "◐", "old": "✗", "none": ""}


def mark_of(view: HostView, age_s: float | None, interval_s: float) -> Mark:
    """How the host can be reached; a host that says `up` with an old frame is stale."""
    reach = view.sample.reach
    if reach == "up" and freshness(age_s, interval_s) in ("late", "old"):
        reach = "stale"
    return REACH[reach]


def severity(view: HostView, age_s: float | None, interval_s: float) -> int:
    """How urgently somebody should look, 0 to 100: the worst thing that is known counts."""
    rank = _REACH_RANK[view.sample.reach]
    frame = view.sample.frame
    if view.sample.reach in ("up", "stale"):
        rank = max(rank, {"old": 80, "late": 50}.get(freshness(age_s, interval_s), 0))
        if frame is not None:
            rank = max(rank, _service_rank(frame))
    return rank


def _service_rank(frame: Frame) -> int:
    rank = _INFERD_RANK[frame.inferd.state]
    if frame.gpu_state == "fault" or any(gpu.fault for gpu in frame.gpus):
        rank = max(rank, 70)
    if frame.inferd.errors_per_s:
        rank = max(rank, 65)
    if throttled(frame):
        rank = max(rank, 45)
    return rank


def throttled(frame: Frame) -> bool:
    """True where a GPU runs slower for a fault of heat or power."""
    return any(HARD_THROTTLES.intersection(gpu.throttle_reasons or ()) for gpu in frame.gpus)
