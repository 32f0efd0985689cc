"""The totals of one instance of inferd, and what happened between two readings of them."""

from __future__ import annotations

from dataclasses import replace

from aiconsole.onhost.probe.exposition import Exposition, Labels, parse_exposition
from aiconsole.onhost.probe.fetch import Reply
from aiconsole.onhost.probe.histogram import increase, quantile
from aiconsole.onhost.probe.rate import Rates
from aiconsole.onhost.wire import InferdReading

_REQUESTS = "inferd_requests_total"
_FAILED = "inferd_requests_failed_total"
_RUNNING = "inferd_requests_running"
_WAITING = "inferd_requests_waiting"
_PROMPT = "inferd_prompt_tokens_total"
_COMPLETION = "inferd_completion_tokens_total"
_DURATION = "inferd_request_duration_seconds"
_TTFT = "inferd_time_to_first_token_seconds"
_READY = "inferd_ready"
_DRAINING = "inferd_draining"
_ENGINE = "inferd_engine_state"
_WANTED = (_REQUESTS, _FAILED, _RUNNING, _WAITING, _PROMPT, _COMPLETION, _READY, _DRAINING, _ENGINE,
           f"{_DURATION}_bucket", f"{_TTFT}_bucket")  # fmt: skip

_WATCHERS = frozenset({"health", "ready", "metrics", "admin"})
"""Routes that watchers ask, this probe among them: no work of the service."""


class Account:
    """Remembers one instance between two readings."""

    def __init__(self) -> None:
        self._rates = Rates()
        self._instance = ""
        self._before: tuple[dict[float, float], dict[float, float]] | None = None
        """Buckets of duration and of the time to the first token."""

    def forget(self) -> None:
        """Start again: whoever answers next may be somebody else."""
        self._rates.forget()
        self._before = None

    def reading(self, told: InferdReading, metrics: Reply | None, now_s: float) -> InferdReading:
        """Add the metrics to what the daemon told of itself.

        Args:
            told: From /health.
            metrics: None where the daemon closed the connection before it came to them.
            now_s: Monotonic time.
        """
        if told.instance != self._instance:
            self.forget()
            self._instance = told.instance
        if metrics is None or metrics.status != 200:
            self.forget()
            seen = f"/metrics answers {metrics.status}" if metrics else ""
            return replace(told, reason=told.reason or seen)
        found = parse_exposition(metrics.body.decode("utf-8", "replace"), _WANTED)
        known = _with_totals(_with_readiness(told, found), found)
        return self._with_rates(known, found, now_s)

    def _with_rates(self, known: InferdReading, found: Exposition, now_s: float) -> InferdReading:
        rate = self._rates.per_s
        latency, ttft = self._grown(found.buckets(_DURATION, _is_work), found.buckets(_TTFT))
        finished = None if known.requests_total is None else sum(known.requests_total.values())
        return replace(
            known,
            requests_per_s=rate("requests", finished, now_s),
            errors_per_s=rate("errors", known.failed_total, now_s),
            tokens_per_s=rate("tokens", known.completion_tokens_total, now_s),
            latency_p50_s=quantile(latency, 0.50),
            latency_p95_s=quantile(latency, 0.95),
            ttft_p95_s=quantile(ttft, 0.95),
        )

    def _grown(
        self, duration: dict[float, float], ttft: dict[float, float]
    ) -> tuple[dict[float, float], dict[float, float]]:
        before, self._before = self._before, (duration, ttft)
        if before is None:
            return {}, {}
        return increase(duration, before[0]), increase(ttft, before[1])


def _with_readiness(told: InferdReading, found: Exposition) -> InferdReading:
    """Whether requests are welcome now, which is more than that the daemon once was ready."""
    ready = found.total(_READY)
    if told.state != "ready" or ready is None or ready > 0:
        return told
    engine = [state for state, on in found.by_label(_ENGINE, "state").items() if on > 0]
    if found.total(_DRAINING):
        return replace(told, state="not-ready", reason="draining")
    if engine and engine != ["ready"]:
        return replace(told, state="not-ready", reason=f"the engine is {engine[0]}"[:300])
    return replace(told, state="not-ready", reason="its queue is full")


def _with_totals(told: InferdReading, found: Exposition) -> InferdReading:
    return replace(
        told,
        requests_total=_by_class(found),
        failed_total=_whole(found.total(_FAILED)),
        running=_whole(found.total(_RUNNING)),
        waiting=_whole(found.total(_WAITING)),
        # A series with labels appears with its first request.
        prompt_tokens_total=_whole(found.total(_PROMPT) or 0.0),
        completion_tokens_total=_whole(found.total(_COMPLETION) or 0.0),
    )


def _by_class(found: Exposition) -> dict[str, int] | None:
    if _REQUESTS not in found.samples:
        return None
    by_class: dict[str, int] = {}
    for code, count in found.by_label(_REQUESTS, "code", _is_work).items():
        name = f"{code[0]}xx" if code[:1] in "12345" and code else "other"
        by_class[name] = by_class.get(name, 0) + int(count)
    return by_class


def _is_work(labels: Labels) -> bool:
    return labels.get("route") not in _WATCHERS


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)
