"""What the console knows of a host at one moment: frozen, with its age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from aiconsole.onhost.wire import Frame

Reach: TypeAlias = Literal["connecting", "up", "stale", "unreachable", "refused", "failed"]
"""`stale`: connected, but no frame for a while. `unreachable`: no way to the host.
`refused`: the host key or the login was not accepted; a person must act.
`failed`: the host answers, and the probe does not run there."""

MetricName: TypeAlias = Literal[
    "cpu_percent",
    "memory_percent",
    "load_1",
    "disk_read_bytes_per_s",
    "disk_write_bytes_per_s",
    "network_rx_bytes_per_s",
    "network_tx_bytes_per_s",
    "gpu_percent",
    "gpu_memory_percent",
    "gpu_power_w",
    "requests_per_s",
    "errors_per_s",
    "tokens_per_s",
    "latency_p95_s",
    "ttft_p95_s",
    "running",
    "waiting",
]
"""The metrics that have a history; `series.METRICS` says what each one reads."""


@dataclass(frozen=True, slots=True)
class History:
    """The last readings of a host, oldest first, all metrics on one time axis."""

    times_unix_s: tuple[float, ...] = ()
    """When each frame arrived, by the console's clock."""
    values: Mapping[MetricName, tuple[float | None, ...]] = field(default_factory=dict)
    """As long as `times_unix_s`; None where nothing is known, a gap in the graph."""

    def of(self, metric: MetricName) -> tuple[float | None, ...]:
        """The values of one metric; empty before the first frame."""
        return self.values.get(metric, ())


@dataclass(frozen=True, slots=True)
class Sample:
    """The last reading of one host and how it can be reached."""

    host: str
    """Its name in the fleet."""
    reach: Reach = "connecting"
    reason: str = ""
    """Why it is not up, in one line that is safe to show."""
    since_unix_s: float = 0.0
    """When `reach` became what it is."""
    frame: Frame | None = None
    """The last frame that arrived, however old; None before the first."""
    received_unix_s: float = 0.0
    """When that frame arrived, by the console's clock."""
    received_monotonic_s: float = 0.0
    """The same by `time.monotonic`, which never jumps: ages are counted from it."""

    def age_s(self, now_monotonic_s: float) -> float | None:
        """Seconds since the last frame arrived; None before the first."""
        if self.frame is None:
            return None
        return max(0.0, now_monotonic_s - self.received_monotonic_s)

    @property
    def live(self) -> bool:
        """True where the frame may be shown as the present."""
        return self.reach == "up" and self.frame is not None


@dataclass(frozen=True, slots=True)
class HostView:
    """One host as a screen shows it."""

    sample: Sample
    history: History = field(default_factory=History)
    gaps: int = 0
    """Lines of the probe that could not be read since the console started."""
    gap_reason: str = ""
    """What was wrong with the last of them."""

    @property
    def name(self) -> str:
        """The host's name in the fleet."""
        return self.sample.host


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """All hosts at one moment, in the order of the fleet."""

    hosts: tuple[HostView, ...] = ()
    taken_unix_s: float = 0.0
    taken_monotonic_s: float = 0.0
    seq: int = 0
    """Raised with every change of any host; the same number is the same content."""

    def host(self, name: str) -> HostView | None:
        """The view of one host; None where it is not watched."""
        return next((view for view in self.hosts if view.name == name), None)
