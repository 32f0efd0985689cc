"""What a runtime does for the steps, whichever it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from pathlib import Path
from typing import Protocol, TypeAlias

from aiconsole.onhost.runner.cancel import NEVER, Cancel
from aiconsole.onhost.wire import HostLayout, SlotStatus

SLOTS = ("a", "b")
Tell: TypeAlias = Callable[[str], None]
"""Takes one line about what goes on."""


class Runtime(Protocol):
    """Holds the listening socket, and runs two slots that accept from it."""

    def listening(self) -> str:
        """Return the address of the socket, `host:port`; empty where there is none."""

    def own_pids(self) -> Container[int]:
        """Return the processes that hold the socket for the service."""

    def listen(self, address: str) -> None:
        """Hold the socket on `address`, now and after a boot. Nothing changes where it is.

        Raises:
            StepError: It cannot be bound; the text names the program that has the port.
        """

    def close(self) -> None:
        """Close the socket, now and after a boot. No slot runs any more.

        Raises:
            StepError: A slot runs, or systemd refused.
        """

    def start(self, slot: str, timeout_s: float, tell: Tell, cancel: Cancel = NEVER) -> None:
        """Start what the slot's link points to, and wait until it says that it is ready.

        Raises:
            StepError: It failed or took too long, and does not run; `data["log"]` has its last
                lines.
            Cancelled: The operator cancelled; it may run or load.
        """

    def stop(self, slot: str, drain_timeout_s: float) -> bool:
        """Let the slot finish its requests, then end it; False where it had to be killed.

        Nothing happens where it does not run.

        Raises:
            StepError: It could not be ended.
        """

    def enable(self, slot: str) -> None:
        """Have this slot alone start after a boot; an empty name for none."""

    def slot_status(self, slot: str) -> SlotStatus:
        """Look at one slot."""

    def slots(self) -> tuple[SlotStatus, ...]:
        """Look at both."""

    def logs(self, slot: str, lines: int, since_unix_s: float = 0.0) -> list[str]:
        """Return the last lines that the slot wrote, of starts since then."""


def linked_release(layout: HostLayout, slot: str) -> str:
    """Id of the release that a slot's link points to; empty where there is no link."""
    try:
        return Path(os.readlink(layout.slot(slot))).name  # noqa: PTH115 - the text is wanted
    except OSError:
        return ""
