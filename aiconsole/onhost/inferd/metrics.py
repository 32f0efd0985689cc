"""What the daemon measures: at the gateway, the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from aiconsole.onhost.inferd.series.gaps import Gaps
from aiconsole.onhost.inferd.series.vllm import VllmNames

CONTENT_TYPE = CONTENT_TYPE_LATEST

_DURATION_S = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    160, 320, 640,
)  # fmt: skip
_TTFT_S = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20, 40, 80, 160, 640,
)  # fmt: skip


REJECTIONS = ("auth", "drain", "ip", "queue", "rate", "timeout")
"""Why requests are refused or broken off by a rule; each is shown before it first happens."""


class Metrics:
    """The series, under names of our own (`inferd_*`)."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each one, of no use here
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "inferd_requests", "Finished requests.", ["route", "model", "code", "finish_reason"],
            registry=registry,
        )  # fmt: skip
        self.failed = Counter(
            "inferd_requests_failed", "Requests that ended 5xx or were cut by the daemon.",
            registry=registry,
        )  # fmt: skip
        self.duration_s = Histogram(
            "inferd_request_duration_seconds", "From arrival to the end of the answer.",
            ["route"], buckets=_DURATION_S, registry=registry,
        )  # fmt: skip
        self.ttft_s = Histogram(
            "inferd_time_to_first_token_seconds", "From arrival to the first token.",
            buckets=_TTFT_S, registry=registry,
        )  # fmt: skip
        self.token_s = Gaps()
        registry.register(self.token_s)
        self.queue_s = Histogram(
            "inferd_queue_time_seconds", "Time in the queue.", buckets=_TTFT_S, registry=registry
        )
        self.prompt_tokens = Counter(
            "inferd_prompt_tokens", "Tokens of prompts.", ["model"], registry=registry
        )
        self.completion_tokens = Counter(
            "inferd_completion_tokens", "Tokens of answers.", ["model"], registry=registry
        )
        self.rejected = Counter(
            "inferd_rejected", "Requests refused or broken off by a rule.", ["reason"],
            registry=registry,
        )  # fmt: skip
        for reason in REJECTIONS:
            self.rejected.labels(reason)
        self.model_info = Gauge(
            "inferd_model_info", "The model that is served.", ["model", "sha256", "generation"],
            registry=registry,
        )  # fmt: skip
        self.engine_state = Gauge(
            "inferd_engine_state", "1 for the state that the engine is in.", ["state"],
            registry=registry,
        )  # fmt: skip
        self.audit_dropped = Counter(
            "inferd_audit_dropped", "Audit lines that could not be written.", registry=registry
        )

        self.cache = Counter(
            "inferd_cache_requests", "Requests by what the cache said.", ["result"],
            registry=registry,
        )  # fmt: skip
        self.cached_tokens = Counter(
            "inferd_cached_tokens", "Tokens of answers that were given again, not computed.",
            ["kind"], registry=registry,
        )  # fmt: skip
        self.tasks = Gauge("inferd_tasks", "Tasks of the gateway's loop.", registry=registry)
        self.build_info = Gauge(
            "inferd_build_info", "What runs.", ["version", "python", "engine"], registry=registry
        )
        ProcessCollector(registry=registry)
        self.vllm: VllmNames | None = None

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A value that is read when somebody asks."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def counter(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A count that somebody else keeps; `_total` is added to the name."""
        self.registry.register(_Count(name, text, read))

    def text(self) -> bytes:
        """All series in Prometheus' format."""
        families = list(self.registry.collect())
        if self.vllm is not None:
            families += self.vllm.of(families)
        return generate_latest(_Collected(families))


class _Count(Collector):
    """A count that somebody else keeps."""

    def __init__(self, name: str, text: str, read: Callable[[], float]) -> None:
        self._name, self._text, self._read = name, text, read

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._text, value=self._read())


class _Collected(Collector):
    """Series that have been collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
