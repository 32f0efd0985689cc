"""The service on a host as it is: slots, releases, runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiconsole.onhost.wire.events import RunSummary
from aiconsole.onhost.wire.layout import HostLayout


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """One slot as it is now."""

    slot: str
    state: str
    """stopped, starting, loading, ready, draining, failed."""
    release_id: str = ""
    pid: int = 0
    since_unix_s: float = 0.0
    restarts: int = 0
    reason: str = ""
    """The last lines of a failed start."""
    model_verified: str = ""
    """What inferd found when it read the model's file again: see its status document; empty
    where it did not answer."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What is deployed: kept in `HostLayout.state_file`."""

    release_id: str = ""
    slot: str = ""
    """The slot that serves; empty when stopped on purpose."""
    address: str = ""
    previous_release_id: str = ""
    load_s: float = 0.0
    """Of the last load, for the announcement of a stall."""
    deployed_unix_s: float = 0.0
    wanted: str = "stopped"
    """running or stopped."""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """Answer to `status`."""

    layout: HostLayout
    service: ServiceState
    slots: tuple[SlotStatus, ...]
    releases: tuple[dict[str, Any], ...]
    """release.json of each release on the host, newest first."""
    runs: tuple[RunSummary, ...]
    """The newest 20."""
