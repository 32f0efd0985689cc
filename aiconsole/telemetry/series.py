"""The recent past of one host, in memory: a ring of readings for each metric."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aiconsole.onhost.wire import Frame, GpuReading
from aiconsole.telemetry.sample import History, MetricName

KEPT_POINTS = 300
"""Five minutes at one frame a second."""

Unit: TypeAlias = Literal["percent", "bytes/s", "1/s", "s", "W", ""]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it is called, and where a frame has it."""

    name: MetricName
    title: str
    """As a screen calls it."""
    unit: Unit
    read: Callable[[Frame], float | None]
    """None where the frame does not know."""


def _gpus(frame: Frame, read: Callable[[GpuReading], float | None]) -> list[float]:
    return [value for gpu in frame.gpus if (value := read(gpu)) is not None]


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None


def _sum(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) if known else None


def _gpu_memory(frame: Frame) -> float | None:
    return max(_gpus(frame, lambda gpu: gpu.memory_percent), default=None)


METRICS: tuple[Metric, ...] = (
    Metric("cpu_percent", "CPU", "percent", lambda f: f.host.cpu_percent),
    Metric("memory_percent", "Memory", "percent", lambda f: f.host.memory_percent),
    Metric("load_1", "Load", "", lambda f: f.host.load_1),
    Metric("disk_read_bytes_per_s", "Disk read", "bytes/s", lambda f: f.host.disk_read_bytes_per_s),
    Metric(
        "disk_write_bytes_per_s", "Disk write", "bytes/s", lambda f: f.host.disk_write_bytes_per_s
    ),
    Metric(
        "network_rx_bytes_per_s", "Received", "bytes/s", lambda f: f.host.network_rx_bytes_per_s
    ),
    Metric("network_tx_bytes_per_s", "Sent", "bytes/s", lambda f: f.host.network_tx_bytes_per_s),
    Metric(
        "gpu_percent", "GPUs busy, mean", "percent",
        lambda f: _mean(_gpus(f, lambda gpu: gpu.utilization_percent)),
    ),
    Metric("gpu_memory_percent", "GPU memory, fullest", "percent", _gpu_memory),
    Metric(
        "gpu_power_w", "GPU power, all", "W", lambda f: _sum(_gpus(f, lambda gpu: gpu.power_w))
    ),
    Metric("requests_per_s", "Requests", "1/s", lambda f: f.inferd.requests_per_s),
    Metric("errors_per_s", "Errors", "1/s", lambda f: f.inferd.errors_per_s),
    Metric("tokens_per_s", "Tokens", "1/s", lambda f: f.inferd.tokens_per_s),
    Metric("latency_p95_s", "Latency p95", "s", lambda f: f.inferd.latency_p95_s),
    Metric("ttft_p95_s", "First token p95", "s", lambda f: f.inferd.ttft_p95_s),
    Metric("running", "Running", "", lambda f: f.inferd.running),
    Metric("waiting", "Waiting", "", lambda f: f.inferd.waiting),
)  # fmt: skip
"""Every metric with a history."""


class Series:
    """The last readings of one host."""

    def __init__(self, kept_points: int = KEPT_POINTS) -> None:
        self._times: deque[float] = deque(maxlen=kept_points)
        self._values: dict[MetricName, deque[float | None]] = {
            metric.name: deque(maxlen=kept_points) for metric in METRICS
        }

    def add(self, frame: Frame, at_unix_s: float) -> None:
        """Append a frame. Points that lie after it are dropped: the console's clock went back."""
        while self._times and self._times[-1] >= at_unix_s:
            self._times.pop()
            for values in self._values.values():
                values.pop()
        self._times.append(at_unix_s)
        for metric in METRICS:
            self._values[metric.name].append(metric.read(frame))

    def history(self) -> History:
        """A frozen copy."""
        values = {name: tuple(points) for name, points in self._values.items()}
        return History(tuple(self._times), values)
