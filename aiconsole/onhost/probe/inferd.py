"""inferd's own account of itself: /health and /metrics, asked on the address that clients use."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aiconsole.onhost.probe.account import Account
from aiconsole.onhost.probe.deployed import Deployed, deployed, dial_address, speaks_tls
from aiconsole.onhost.probe.fetch import Reply, SilenceError, get_all
from aiconsole.onhost.probe.paced import SourceError, clock_text
from aiconsole.onhost.wire import HostLayout, InferdReading, InferdState

_PATHS = ("/health", "/metrics")
_KEY_WANTED = (401, 403)


class InferdSource:
    """A source of `InferdReading`."""

    deadline_s = 6.0

    def __init__(
        self, layouts: Sequence[HostLayout], interval_s: float, *, answer_s: float = 2.0
    ) -> None:
        self.interval_s = interval_s
        self._layouts = layouts
        self._answer_s = answer_s
        self._account = Account()
        self._silent_since: float | None = None

    def read(self) -> InferdReading:
        """Read what is deployed, and ask the daemon how it is."""
        found = deployed(self._layouts)
        if found is None:
            return InferdReading(state="absent")
        state = found.state
        known = InferdReading(release_id=state.release_id, slot=state.slot, address=state.address)
        if state.wanted != "running" or not state.address:
            self._account.forget()
            return replace(known, state="stopped")
        return self._ask(known, found)

    def _ask(self, known: InferdReading, found: Deployed) -> InferdReading:
        try:
            place, tls = dial_address(known.address), speaks_tls(found)
            replies = get_all(place, _PATHS, self._answer_s, tls=tls)
        except SourceError as error:
            self._account.forget()
            return replace(known, state="no-answer", reason=self._why(error))
        self._silent_since = None
        told = _told(known, replies[0])
        metrics = replies[1] if len(replies) > 1 else None
        if metrics is not None and metrics.status in _KEY_WANTED:
            metrics = self._behind_the_key(told, found) or metrics
        return self._account.reading(told, metrics, time.monotonic())

    def _behind_the_key(self, told: InferdReading, found: Deployed) -> Reply | None:
        """Metrics by the slot's admin socket, where this user may open it."""
        path = f"{found.layout.slot_run(told.slot)}/admin.sock"
        try:
            health, metrics = get_all(path, _PATHS, self._answer_s)
        except (SourceError, ValueError):
            return None
        return metrics if _told(told, health).instance == told.instance else None

    def _why(self, error: SourceError) -> str:
        if not isinstance(error, SilenceError):
            self._silent_since = None
            return str(error)
        if self._silent_since is None:
            self._silent_since = time.time() - self._answer_s
        return f"it takes connections and does not answer since {clock_text(self._silent_since)}"


def _told(known: InferdReading, health: Reply) -> InferdReading:
    """What the daemon says of itself; release and slot are those of the one that answered."""
    try:
        body = json.loads(health.body.decode("utf-8"))
    except (ValueError, RecursionError):
        body = None
    if health.status != 200 or not isinstance(body, dict):
        reason = f"/health answers {health.status}, which inferd does not"
        return replace(known, state="not-ready", reason=reason)
    state = _text(body, "state")
    kinds: dict[str, InferdState] = {
        "ready": "ready",
        "starting": "starting",
        "loading": "starting",
    }
    return replace(
        known,
        state=kinds.get(state, "not-ready"),
        reason="" if state == "ready" else state or "it does not say its state",
        instance=_text(body, "instance"),
        slot=_text(body, "slot") or known.slot,
        release_id=_text(body, "release") or known.release_id,
    )


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    return value[:300] if isinstance(value, str) else ""
