"""The time between two tokens, of every token: counted by each answer, added up at its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from aiconsole.onhost.inferd.reply.answer import GAP_BOUNDS_S

_NAME = "inferd_inter_token_latency_seconds"
_LABELS = [*map(str, GAP_BOUNDS_S), "+Inf"]


class Gaps(Collector):
    """One histogram; a whole answer costs one addition a class."""

    def __init__(self) -> None:
        self._counts = [0] * len(_LABELS)
        self._sum_s = 0.0

    def add(self, counts: Sequence[int], sum_s: float) -> None:
        """Take in an answer."""
        if sum_s:
            self._counts = [a + b for a, b in zip(self._counts, counts, strict=True)]
            self._sum_s += sum_s

    def collect(self) -> Iterable[Metric]:
        """The histogram as it is now."""
        buckets = list(zip(_LABELS, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(
            _NAME, "Time between two tokens of an answer.", buckets=buckets, sum_value=self._sum_s
        )
