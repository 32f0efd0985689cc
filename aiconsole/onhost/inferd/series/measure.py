"""A finished request put into the series; which series are meant is looked up once a kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client import Counter, Histogram

from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.metrics import Metrics

_GIVEN_AGAIN = frozenset({"hit", "joined"})
_FINISHES = frozenset({"", "stop", "length", "tool_calls", "function_call", "content_filter"})
"""A provider may call an end whatever it likes; a label may not."""
_Kind: TypeAlias = tuple[str, str, int, str, str]


@dataclass(frozen=True, slots=True)
class _Series:
    """Where requests of one kind are counted; all of its labels have few values."""

    requests: Counter
    duration_s: Histogram
    cache: Counter | None
    prompt_tokens: Counter | None
    completion_tokens: Counter | None
    by_engine: bool
    """Whether the engine did the work: only that belongs into its times."""


class Measure:
    """Counts requests; finding a series by its labels would take longer than to count."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._known: dict[_Kind, _Series] = {}

    def count(self, exchange: Exchange) -> None:
        """Put one down."""
        e = exchange
        finish = e.finish_reason if e.finish_reason in _FINISHES else "other"
        kind = (e.route, e.model, e.code, finish, e.cache)
        series = self._known.get(kind)
        if series is None:
            series = self._known[kind] = self._series(e, finish)
        series.requests.inc()
        series.duration_s.observe(e.elapsed_s)
        if series.cache is not None:
            series.cache.inc()
        if series.prompt_tokens is not None and e.prompt_tokens:
            series.prompt_tokens.inc(e.prompt_tokens)
        if series.completion_tokens is not None and e.completion_tokens:
            series.completion_tokens.inc(e.completion_tokens)
        if series.by_engine:
            if e.ttft_s:
                self._metrics.ttft_s.observe(e.ttft_s)
            self._metrics.queue_s.observe(e.queue_s)

    def _series(self, e: Exchange, finish: str) -> _Series:
        metrics, again = self._metrics, e.cache in _GIVEN_AGAIN
        prompt = completion = None
        if again:
            prompt = metrics.cached_tokens.labels("prompt")
            completion = metrics.cached_tokens.labels("completion")
        elif e.model:
            prompt = metrics.prompt_tokens.labels(e.model)
            completion = metrics.completion_tokens.labels(e.model)
        return _Series(
            metrics.requests.labels(e.route, e.model, e.code, finish),
            metrics.duration_s.labels(e.route),
            metrics.cache.labels(e.cache) if e.cache else None,
            prompt,
            completion,
            by_engine=bool(e.model) and not again,
        )
