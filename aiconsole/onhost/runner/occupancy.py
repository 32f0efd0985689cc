"""Which slot serves, which one is free, and what the state file says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiconsole.onhost.runner.durable import remove_file, write_json
from aiconsole.onhost.runner.runtimes.runtime import SLOTS, Runtime, linked_release
from aiconsole.onhost.runner.status import service_state
from aiconsole.onhost.wire import HostLayout, ServiceState, SlotStatus, to_json


@dataclass(frozen=True, slots=True)
class Occupancy:
    """The service as it is found."""

    state: ServiceState
    """What the state file says; it may be behind what runs."""
    slots: dict[str, SlotStatus]
    releases: dict[str, str]
    """Release that each slot's link points to."""

    @property
    def serving(self) -> str:
        """The slot that serves now; empty where none is ready."""
        ready = [name for name, slot in self.slots.items() if slot.state == "ready"]
        if self.state.slot in ready:
            return self.state.slot
        return ready[0] if ready else ""

    @property
    def old(self) -> str:
        """The slot to replace: it serves, or it should and is dead."""
        return self.serving or (self.state.slot if self.state.wanted == "running" else "")

    @property
    def idle(self) -> str:
        """The slot for the next release."""
        return next(name for name in SLOTS if name != (self.old or "b"))

    def serves(self, release_id: str, address: str) -> bool:
        """True where exactly this is served there, and the state file knows."""
        return (
            bool(self.serving)
            and self.serving == self.state.slot
            and self.releases[self.serving] == release_id == self.state.release_id
            and self.state.wanted == "running"
            and address in ("", self.state.address)
        )


def look(layout: HostLayout, runtime: Runtime) -> Occupancy:
    """Find out what runs."""
    slots = {status.slot: status for status in runtime.slots()}
    releases = {name: linked_release(layout, name) for name in SLOTS}
    return Occupancy(service_state(layout), slots, releases)


def write_state(layout: HostLayout, state: ServiceState) -> None:
    """Replace the state file; everybody on the host may read it."""
    write_json(Path(layout.state_file), to_json(state), mode=0o644)


def restore_state(layout: HostLayout, state: ServiceState) -> None:
    """Bring back a state file as it was; the empty state is no file."""
    if state == ServiceState():
        remove_file(Path(layout.state_file))
    else:
        write_state(layout, state)
