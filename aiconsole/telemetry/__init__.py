"""One collector over the probes of the fleet: samples and series."""

from aiconsole.telemetry.sample import (
    FleetSnapshot,
    History,
    HostView,
    MetricName,
    Reach,
    Sample,
)

__all__ = ["FleetSnapshot", "History", "HostView", "MetricName", "Reach", "Sample"]
