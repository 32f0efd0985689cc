"""One collector over the probes of the fleet: samples and series."""

from aiconsole.telemetry.collector import Collector, sample_once
from aiconsole.telemetry.sample import (
    FleetSnapshot,
    History,
    HostView,
    MetricName,
    Reach,
    Sample,
)
from aiconsole.telemetry.series import METRICS, Metric

__all__ = [
    "METRICS",
    "Collector",
    "FleetSnapshot",
    "History",
    "HostView",
    "Metric",
    "MetricName",
    "Reach",
    "Sample",
    "sample_once",
]
