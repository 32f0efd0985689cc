"""How long to wait before a crashed slot is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Doubles from the first delay to the last, and starts over after a healthy while."""

    first_s: float = 1.0
    last_s: float = 60.0
    healthy_s: float = 60.0
    """A slot that was ready for this long counts as recovered."""
    crashes: int = 0
    """In a row, without a healthy while between."""

    def after_crash(self, ready_for_s: float) -> float:
        """Count a crash and return the delay before the next start, in seconds."""
        if ready_for_s >= self.healthy_s:
            self.crashes = 0
        delay_s = min(self.last_s, self.first_s * 2.0 ** min(self.crashes, 32))
        self.crashes += 1
        return delay_s

    def reset(self) -> None:
        """Forget the crashes: somebody asked for a new start."""
        self.crashes = 0
