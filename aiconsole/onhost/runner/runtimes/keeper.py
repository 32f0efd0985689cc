"""The runtime of hosts and users without systemd: everything is asked of the keeper."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, TypeVar

from aiconsole.onhost.keeper import KeeperClient, KeeperFault, ensure_keeper
from aiconsole.onhost.keeper.log import read_log
from aiconsole.onhost.runner.cancel import NEVER, Cancel, Cancelled
from aiconsole.onhost.runner.runtimes.runtime import SLOTS, Tell, linked_release
from aiconsole.onhost.runner.steps.kind import StepError
from aiconsole.onhost.wire import HostLayout, SlotStatus

T = TypeVar("T")
_NOBODY: dict[str, Any] = {}


class KeeperRuntime:
    """Starts the keeper where it is needed; a look at a host without one finds all stopped."""

    def __init__(self, layout: HostLayout, tool_path: str = "") -> None:
        self._layout = layout
        self._tool_path = tool_path

    def listening(self) -> str:
        """Address that the keeper holds; empty without a keeper."""
        status = self._look(KeeperClient.status, _NOBODY)
        return str(status["address"]) if status.get("listening") else ""

    def own_pids(self) -> Container[int]:
        """The keeper."""
        status = self._look(KeeperClient.status, _NOBODY)
        return {int(status["pid"])} if status else set()

    def listen(self, address: str) -> None:
        """Bind it in the keeper, which starts here where it does not run."""
        self._act(lambda keeper: keeper.listen(address))

    def close(self) -> None:
        """Close it in the keeper, which stays."""
        self._act(KeeperClient.close)

    def start(self, slot: str, timeout_s: float, tell: Tell, cancel: Cancel = NEVER) -> None:
        """Have the keeper start it; what it says of itself is told on."""
        self._act(lambda keeper: keeper.start(slot, timeout_s, tell, lambda: cancel.requested))

    def stop(self, slot: str, drain_timeout_s: float) -> bool:
        """Have the keeper drain and end it."""
        return self._act(lambda keeper: keeper.stop(slot, drain_timeout_s))

    def enable(self, slot: str) -> None:
        """Write it into what the next keeper takes up."""
        self._act(lambda keeper: keeper.enable(slot))

    def slot_status(self, slot: str) -> SlotStatus:
        """As the keeper sees it."""
        return next(status for status in self.slots() if status.slot == slot)

    def slots(self) -> tuple[SlotStatus, ...]:
        """As the keeper sees them; stopped without a keeper, since slots end with it."""
        stopped = {
            slot: SlotStatus(slot, "stopped", linked_release(self._layout, slot)) for slot in SLOTS
        }
        return tuple(self._look(KeeperClient.slots, stopped).values())

    def logs(self, slot: str, lines: int, since_unix_s: float = 0.0) -> list[str]:
        """From the file that the keeper bounds."""
        return read_log(f"{self._layout.slot_run(slot)}/log", lines, since_unix_s)

    def _look(self, ask: Callable[[KeeperClient], T], nobody: T) -> T:
        try:
            return ask(KeeperClient(self._layout))
        except KeeperFault as fault:
            if fault.code == "no-keeper":
                return nobody
            raise _told(fault) from fault

    def _act(self, ask: Callable[[KeeperClient], T]) -> T:
        try:
            if self._tool_path:
                return ask(ensure_keeper(self._layout, self._tool_path))
            return ask(KeeperClient(self._layout))
        except KeeperFault as fault:
            if fault.code == "given-up":
                raise Cancelled from fault
            raise _told(fault) from fault


def _told(fault: KeeperFault) -> StepError:
    return StepError(fault.text, data={"code": fault.code, "log": list(fault.log)})
