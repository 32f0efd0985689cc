"""Which hosts a fleet screen shows, and in what order."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from aiconsole.telemetry.sample import FleetSnapshot, HostView
from aiconsole.tui.present.health import INFERD, mark_of, severity

FleetOrder: TypeAlias = Literal["fleet", "worst", "name", "cpu", "requests"]
"""`fleet`: as in hosts.toml. `worst`: what needs a person first. The others say it themselves."""

ORDER_TITLES: dict[FleetOrder, str] = {
    "fleet": "fleet order", "worst": "worst first", "name": "by name", "cpu": "by CPU",
    "requests": "by requests/s",
}  # fmt: skip


def next_order(order: FleetOrder) -> FleetOrder:
    """The order after this one, round and round."""
    orders: tuple[FleetOrder, ...] = get_args(FleetOrder)
    return orders[(orders.index(order) + 1) % len(orders)]


def arrange(
    snapshot: FleetSnapshot, order: FleetOrder, text: str, now_s: float, interval_s: float
) -> tuple[HostView, ...]:
    """Filter and sort; hosts that are equal keep the fleet's order."""
    hosts = [view for view in snapshot.hosts if matches(view, text, now_s, interval_s)]
    if order == "name":
        hosts.sort(key=lambda view: view.name)
    elif order == "worst":
        hosts.sort(key=lambda v: -severity(v, v.sample.age_s(now_s), interval_s))
    elif order in ("cpu", "requests"):
        hosts.sort(key=lambda view: -_load(view, order))
    return tuple(hosts)


def matches(view: HostView, text: str, now_s: float, interval_s: float) -> bool:
    """True where every word is found in what the row says; `!word` wants it absent."""
    frame = view.sample.frame
    mark = mark_of(view, view.sample.age_s(now_s), interval_s)
    inferd = f"{INFERD[frame.inferd.state].word} {frame.inferd.release_id}" if frame else ""
    row = f"{view.name} {mark.word} {view.sample.reason} {inferd}".lower()
    return all(_word_matches(word, row) for word in text.lower().split())


def _word_matches(word: str, row: str) -> bool:
    if word.startswith("!"):
        return len(word) == 1 or word[1:] not in row
    return word in row


def _load(view: HostView, order: FleetOrder) -> float:
    frame = view.sample.frame
    if frame is None:
        return -1.0
    value = frame.host.cpu_percent if order == "cpu" else frame.inferd.requests_per_s
    return -1.0 if value is None else value
