"""What the console holds while it is open; screens draw it and never change it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiconsole.telemetry.sample import FleetSnapshot
from aiconsole.tui.bridge import RunsListed
from aiconsole.tui.failure import Failure
from aiconsole.tui.operation import Operation

if TYPE_CHECKING:
    from aiconsole.fleet.host import Host


@dataclass(slots=True)
class ConsoleState:
    """The fleet as it was last told, and the operations that were begun here."""

    interval_s: float
    """Of the refresh."""
    readonly: bool = False
    hosts: tuple[Host, ...] | None = None
    """None until the inventory was read."""
    snapshot: FleetSnapshot = field(default_factory=FleetSnapshot)
    """What is shown: while the screen is paused it stays."""
    paused_unix_s: float = 0.0
    paused_monotonic_s: float = 0.0
    operations: list[Operation] = field(default_factory=list)
    runs: dict[str, RunsListed] = field(default_factory=dict)
    """The newest runs of hosts that were looked at."""
    releases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Releases on the hosts that were asked, newest first."""
    failure: Failure | None = None
    """Why the fleet could not be read; the last good one, if any, is shown."""
    _newest: FleetSnapshot = field(default_factory=FleetSnapshot)

    @property
    def paused(self) -> bool:
        """True where the screen holds still."""
        return bool(self.paused_unix_s)

    @property
    def now_monotonic_s(self) -> float:
        """The moment that the screen shows; ages are counted to it."""
        return self.paused_monotonic_s if self.paused else time.monotonic()

    @property
    def working(self) -> tuple[Operation, ...]:
        """Operations that are going on."""
        return tuple(operation for operation in self.operations if not operation.ended)

    def take(self, snapshot: FleetSnapshot) -> None:
        """Keep the newest readings; show them unless paused."""
        self._newest = snapshot
        if not self.paused:
            self.snapshot = snapshot

    def toggle_pause(self) -> None:
        """Hold still, or catch up."""
        if self.paused:
            self.paused_unix_s = self.paused_monotonic_s = 0.0
            self.snapshot = self._newest
        else:
            self.paused_unix_s, self.paused_monotonic_s = time.time(), time.monotonic()

    def operation(self, number: int) -> Operation:
        """One of the operations, by its number from 0."""
        return self.operations[number]

    def host_names(self) -> tuple[str, ...]:
        """Every host of the fleet, in its order."""
        return tuple(host.name for host in self.hosts or ())
