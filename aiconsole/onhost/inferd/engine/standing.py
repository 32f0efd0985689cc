"""How an engine is, step by step, and who wants to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aiconsole.onhost.inferd.engine.protocol import EngineState, EngineStatus


class Standing:
    """Holds the status of one engine; tells of each change."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self.status = EngineStatus("starting")

    def set(
        self,
        state: EngineState,
        *,
        reason: str = "",
        phase: str = "",
        progress: float = 0.0,
        pid: int = 0,
        last_fault: str = "",
    ) -> None:
        """Move on; the reason of a fault stays until it is ready again."""
        known = self.status
        kept = reason or (known.reason if state in ("loading", "restarting", "stalled") else "")
        self._become(
            replace(
                known,
                state=state,
                reason=kept,
                phase=phase,
                progress=round(progress, 2),
                pid=pid,
                last_fault=last_fault or known.last_fault,
            )
        )

    def start_again(self, reason: str, pause_s: float) -> None:
        """It broke, and is started again after a pause; one that stalled still shows it."""
        known = self.status
        self._become(
            EngineStatus(
                "stalled" if known.state == "stalled" else "restarting",
                reason,
                f"starting again in {pause_s:g} s",
                restarts=known.restarts + 1,
                last_fault=reason,
            )
        )

    def _become(self, new: EngineStatus) -> None:
        if new != self.status:
            self.status = new
            self._on_change()
