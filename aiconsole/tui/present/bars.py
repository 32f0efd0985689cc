"""The two bars of every screen: where one is and how the fleet does; what the keys do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiconsole.telemetry.sample import FleetSnapshot
from aiconsole.tui.present.health import mark_of
from aiconsole.tui.present.line import Line, Piece, StyleName, columns_of, spread

_WORDS: tuple[tuple[str, StyleName], ...] = (
    ("up", "good"), ("connecting", "dim"), ("stale", "warn"), ("no probe", "bad"),
    ("refused", "bad"), ("unreachable", "bad"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TopState:
    """What the top bar tells."""

    path: tuple[str, ...]
    """Where the operator is: `fleet`, `web1`."""
    snapshot: FleetSnapshot
    now_monotonic_s: float
    now_unix_s: float
    interval_s: float
    paused_unix_s: float = 0.0
    """When the screen was paused; 0 where it is not."""
    readonly: bool = False
    working: tuple[str, ...] = ()
    """Titles of the operations that are going on."""


def top_bar(state: TopState, columns: int) -> Line:
    """One line: place at the left, state of the fleet and the time at the right."""
    left: list[Piece] = [Piece(" aiconsole", "accent")]
    for part in state.path:
        left += [Piece(" ▸ ", "dim"), Piece(part, "strong")]
    if state.paused_unix_s:
        since = time.strftime("%H:%M:%S", time.localtime(state.paused_unix_s))
        left += [Piece("  "), Piece(f" PAUSED at {since} · p goes on ", "alarm")]
    if state.readonly:
        left += [Piece("  "), Piece("read-only", "warn")]
    if state.working:
        more = f" and {len(state.working) - 1} more" if len(state.working) > 1 else ""
        left += [Piece("  "), Piece(f"▶ {state.working[0]}{more}", "accent")]
    clock = time.strftime("%H:%M:%S", time.localtime(state.now_unix_s))
    right = (*_fleet(state), Piece(f"  {clock} ", "dim"))
    return spread(tuple(left), right, columns)


def _fleet(state: TopState) -> Line:
    counts: dict[str, int] = {}
    for view in state.snapshot.hosts:
        age_s = view.sample.age_s(state.now_monotonic_s)
        mark = mark_of(view, age_s, state.interval_s)
        counts[mark.word] = counts.get(mark.word, 0) + 1
    pieces: list[Piece] = []
    for word, style in _WORDS:
        if number := counts.get(word):
            pieces += [Piece("  " if pieces else ""), Piece(f"{number} {word}", style)]
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class KeyHint:
    """One key in the footer."""

    key: str
    label: str
    enabled: bool = True
    pinned: bool = False
    """At the right end, where it always has room."""


def key_bar(hints: Sequence[KeyHint], columns: int) -> Line:
    """As many keys as there is room for; one that cannot be used now is dimmed and in brackets."""
    pinned = tuple(piece for hint in hints if hint.pinned for piece in _hint(hint))
    room = columns - columns_of(pinned)
    pieces: list[Piece] = [Piece(" ")]
    for hint in hints:
        shown = _hint(hint)
        if hint.pinned or columns_of(pieces) + columns_of(shown) > room:
            continue
        pieces += shown
    return spread(tuple(pieces), pinned, columns)


def _hint(hint: KeyHint) -> Line:
    if not hint.enabled:
        return (Piece(f"({hint.key} {hint.label})  ", "dim"),)
    return (Piece(hint.key, "accent"), Piece(f" {hint.label}  "))


_KEY_NAMES = {
    "slash": "/", "colon": ":", "question_mark": "?", "enter": "↵", "escape": "Esc",
    "space": "space", "ctrl+p": "^p", "ctrl+q": "^q", "ctrl+d": "^d", "ctrl+u": "^u",
    "up": "↑", "down": "↓", "left": "←", "right": "→", "pageup": "PgUp", "pagedown": "PgDn",
    "home": "Home", "end": "End", "f1": "F1", "tab": "Tab", "shift+tab": "Shift+Tab",
}  # fmt: skip


def key_text(key: str) -> str:
    """A key as it is written on the screen."""
    return _KEY_NAMES.get(key, key)
