"""The main series once more under vLLM's names, for boards and autoscalers that know those.

Made from our own series when they are asked for: a request is counted once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_RENAMED = {
    "inferd_time_to_first_token_seconds": "vllm:time_to_first_token_seconds",
    "inferd_inter_token_latency_seconds": "vllm:inter_token_latency_seconds",
    "inferd_queue_time_seconds": "vllm:request_queue_time_seconds",
    "inferd_request_duration_seconds": "vllm:e2e_request_latency_seconds",
    "inferd_prompt_tokens": "vllm:prompt_tokens",
    "inferd_completion_tokens": "vllm:generation_tokens",
    "inferd_requests_running": "vllm:num_requests_running",
    "inferd_requests_waiting": "vllm:num_requests_waiting",
}
_OTHER_ROUTES = frozenset({"other", "health", "ready", "metrics", "admin", "models"})
_KV_USE = re.compile(
    rb"^(?:vllm:kv_cache_usage_perc|vllm:gpu_cache_usage_perc|sglang:token_usage"
    rb"|llamacpp:kv_cache_usage_ratio)(?:\{[^\n]*\})? ([0-9.eE+-]+)",
    re.MULTILINE,
)


class VllmNames:
    """Says the same under other names and labels."""

    def __init__(self, model: str) -> None:
        """Begin.

        Args:
            model: Value of the label `model_name`.
        """
        self._labels = {"model_name": model, "engine": "0"}
        self.engine_text = b""
        """What the engine itself said last; the use of its memory is in there, if anywhere."""

    def of(self, sources: Iterable[Metric]) -> Iterable[Metric]:
        """All of our own series that have a name at vLLM."""
        for source in sources:
            if name := _RENAMED.get(source.name):
                yield self._renamed(source, name)
            elif source.name == "inferd_requests":
                yield self._finished(source)
        if found := _KV_USE.search(self.engine_text):
            yield self._kv_use(float(found[1]))

    def _renamed(self, source: Metric, name: str) -> Metric:
        """The sum over our own labels, which vLLM does not have."""
        sums: dict[tuple[str, str], float] = defaultdict(float)
        for sample in source.samples:
            if sample.labels.get("route", "") not in _OTHER_ROUTES:
                suffix = sample.name[len(source.name) :]
                sums[suffix, sample.labels.get("le", "")] += sample.value
        metric = Metric(name, source.documentation, source.type)
        for (suffix, le), value in sums.items():
            labels = {**self._labels, "le": le} if le else self._labels
            metric.add_sample(name + suffix, labels, value)
        return metric

    def _finished(self, source: Metric) -> Metric:
        """Requests by how they ended, in vLLM's words."""
        sums: dict[str, float] = dict.fromkeys(("stop", "length", "abort", "error"), 0.0)
        for sample in source.samples:
            if sample.labels["route"] not in _OTHER_ROUTES and (how := _end(sample.labels)):
                sums[how] += sample.value
        labels = [*self._labels, "finished_reason"]
        metric = CounterMetricFamily(
            "vllm:request_success", "Requests by how they ended.", labels=labels
        )
        for how, value in sums.items():
            metric.add_metric([*self._labels.values(), how], value)
        return metric

    def _kv_use(self, part: float) -> Metric:
        metric = GaugeMetricFamily(
            "vllm:kv_cache_usage_perc", "Part of the engine's memory for contexts in use.",
            labels=list(self._labels),
        )  # fmt: skip
        metric.add_metric(list(self._labels.values()), part)
        return metric


def _end(labels: dict[str, Any]) -> str:
    """The word for an end; nothing for a request that never reached its engine."""
    code, finish = labels["code"], labels["finish_reason"]
    if code == "200" and (finish or labels["route"] == "embeddings"):
        return "length" if finish == "length" else "stop"
    if code == "200":
        return "error"  # broken off after it had begun
    if code == "499":
        return "abort"
    return "error" if code.startswith("5") else ""
