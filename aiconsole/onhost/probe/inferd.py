"""inferd's own account of itself: /health and /metrics over the host's loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiconsole.onhost.probe.deployed import dial_address, newest_state
from aiconsole.onhost.probe.exposition import Exposition, parse_exposition
from aiconsole.onhost.probe.fetch import Reply, SilenceError, get_all
from aiconsole.onhost.probe.histogram import increase, quantile
from aiconsole.onhost.probe.paced import SourceError, clock_text
from aiconsole.onhost.probe.rate import Rates
from aiconsole.onhost.wire import InferdReading, InferdState, ServiceState

_REQUESTS = "inferd_requests_total"
_FAILED = "inferd_requests_failed_total"
_RUNNING = "inferd_requests_running"
_WAITING = "inferd_requests_waiting"
_PROMPT = "inferd_prompt_tokens_total"
_COMPLETION = "inferd_completion_tokens_total"
_DURATION = "inferd_request_duration_seconds"
_TTFT = "inferd_time_to_first_token_seconds"
_WANTED = (_REQUESTS, _FAILED, _RUNNING, _WAITING, _PROMPT, _COMPLETION,
           f"{_DURATION}_bucket", f"{_TTFT}_bucket")  # fmt: skip


class InferdSource:
    """A source of `InferdReading`."""

    deadline_s = 4.0

    def __init__(
        self, state_files: Sequence[str], interval_s: float, *, answer_s: float = 2.0
    ) -> None:
        self.interval_s = interval_s
        self._state_files = [Path(path) for path in state_files]
        self._answer_s = answer_s
        self._account = Account()
        self._silent_since: float | None = None

    def read(self) -> InferdReading:
        """Read what is deployed, and ask the daemon how it is."""
        state = newest_state(self._state_files)
        if state is None:
            return InferdReading(state="absent")
        known = InferdReading(release_id=state.release_id, slot=state.slot, address=state.address)
        if state.wanted != "running" or not state.address:
            return replace(known, state="stopped")
        return self._ask(known, state)

    def _ask(self, known: InferdReading, state: ServiceState) -> InferdReading:
        paths = ["/health", "/metrics"]
        try:
            health, metrics = get_all(dial_address(state.address), paths, self._answer_s)
        except SourceError as error:
            self._account.forget()
            return replace(known, state="no-answer", reason=self._why(error))
        self._silent_since = None
        return self._account.reading(_told(known, health), metrics, time.monotonic())

    def _why(self, error: SourceError) -> str:
        if not isinstance(error, SilenceError):
            self._silent_since = None
            return f"{error}"
        if self._silent_since is None:
            self._silent_since = time.time() - self._answer_s
        return f"it takes connections and does not answer since {clock_text(self._silent_since)}"


class Account:
    """The totals of one instance of the daemon, and the rates between two readings of them."""

    def __init__(self) -> None:
        self._rates = Rates()
        self._instance = ""
        self._latency: dict[float, float] = {}
        self._ttft: dict[float, float] = {}

    def forget(self) -> None:
        """Start again: whoever answers next may be somebody else."""
        self._rates.forget()
        self._latency, self._ttft = {}, {}

    def reading(self, told: InferdReading, metrics: Reply, now_s: float) -> InferdReading:
        """Add the metrics to what the daemon told of itself."""
        if told.instance != self._instance:
            self.forget()
            self._instance = told.instance
        if metrics.status != 200:
            self.forget()
            return replace(told, reason=told.reason or f"/metrics answers {metrics.status}")
        found = parse_exposition(metrics.body.decode("utf-8", "replace"), _WANTED)
        return self._with_rates(self._with_totals(told, found), found, now_s)

    def _with_totals(self, told: InferdReading, found: Exposition) -> InferdReading:
        by_class: dict[str, int] = {}
        for code, count in found.by_label(_REQUESTS, "code").items():
            name = f"{code[:1]}xx" if code[:1].isdecimal() else "other"
            by_class[name] = by_class.get(name, 0) + int(count)
        return replace(
            told,
            requests_total=by_class if _REQUESTS in found.samples else None,
            failed_total=_whole(found.total(_FAILED)),
            running=_whole(found.total(_RUNNING)),
            waiting=_whole(found.total(_WAITING)),
            prompt_tokens_total=_whole(found.total(_PROMPT)),
            completion_tokens_total=_whole(found.total(_COMPLETION)),
        )

    def _with_rates(self, known: InferdReading, found: Exposition, now_s: float) -> InferdReading:
        rate = self._rates.per_s
        latency_before, self._latency = self._latency, found.buckets(_DURATION)
        ttft_before, self._ttft = self._ttft, found.buckets(_TTFT)
        latency = increase(self._latency, latency_before)
        return replace(
            known,
            requests_per_s=rate("requests", found.total(_REQUESTS), now_s),
            errors_per_s=rate("errors", known.failed_total, now_s),
            tokens_per_s=rate("tokens", known.completion_tokens_total, now_s),
            latency_p50_s=quantile(latency, 0.50),
            latency_p95_s=quantile(latency, 0.95),
            ttft_p95_s=quantile(increase(self._ttft, ttft_before), 0.95),
        )


def _told(known: InferdReading, health: Reply) -> InferdReading:
    """What the daemon says of itself; release and slot are those of the one that answered."""
    try:
        body = json.loads(health.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return replace(known, state="not-ready", reason=f"/health answers {health.status}")
    state, reason = _state(_text(body, "state"), _text(body, "reason"))
    return replace(
        known,
        state=state,
        reason=reason,
        instance=_text(body, "instance"),
        slot=_text(body, "slot") or known.slot,
        release_id=_text(body, "release_id") or known.release_id,
    )


def _state(state: str, reason: str) -> tuple[InferdState, str]:
    if state == "ready":
        return "ready", reason
    if state in ("starting", "loading"):
        return "starting", reason or state
    return "not-ready", ": ".join(part for part in (state, reason) if part) or "no state given"


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    return value[:300] if isinstance(value, str) else ""


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
