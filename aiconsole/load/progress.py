"""A load as the console sees it: all that was counted, and how it went over time."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiconsole.load.crew import Beat
from aiconsole.load.histogram import Histogram
from aiconsole.load.spec import Spec
from aiconsole.load.tally import Tally

_POINT_S = 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """One second of the load."""

    at_s: float
    """Seconds since the measured time began."""
    answered: float
    """Requests a second."""
    failed: float
    """Requests a second."""
    p50_s: float | None
    p99_s: float | None
    in_flight: int


class Progress:
    """Takes beats in their order.

    Attributes:
        total: All that was counted.
        points: One for each second so far.
    """

    def __init__(self, spec: Spec, start_s: float) -> None:
        self.spec = spec
        self.from_s = start_s + spec.pace.warmup_s
        self.total = Tally()
        self.points: list[Point] = []
        self._since = Tally()
        self._since_s = self.from_s
        self._in_flight: dict[int, int] = {}
        self._wall_s: dict[int, float] = {}
        self._cpu_s: dict[int, float] = {}
        self._last_s = self.from_s
        self._own_began: tuple[float, float] | None = None
        self._own_cpu = 0.0
        self._stopped_s: float | None = None

    def add(self, beat: Beat) -> None:
        """Take what a worker has counted."""
        self._last_s = max(self._last_s, beat.last_s)
        self._in_flight[beat.worker] = beat.in_flight
        self.total.merge(beat.tally)
        self._since.merge(beat.tally)
        now_s = time.monotonic()
        if now_s > self.from_s:
            self._wall_s[beat.worker] = self._wall_s.get(beat.worker, 0.0) + beat.wall_s
            self._cpu_s[beat.worker] = self._cpu_s.get(beat.worker, 0.0) + beat.cpu_s
            self._watch_own(now_s)
        if now_s - self._since_s >= _POINT_S:
            self._close_point(now_s)

    def stop(self) -> None:
        """The load is ended early, now: the measured time ends here."""
        if self._stopped_s is None:
            self._stopped_s = time.monotonic()

    @property
    def is_stopped(self) -> bool:
        """True where it was ended early."""
        return self._stopped_s is not None

    @property
    def in_flight(self) -> int:
        """Requests at work."""
        return sum(self._in_flight.values())

    @property
    def cpu(self) -> float:
        """The largest share of a core that a worker used; 1 is all of it."""
        shares = [self._cpu_s[worker] / wall for worker, wall in self._wall_s.items() if wall]
        return max(shares, default=0.0)

    @property
    def measured_s(self) -> float:
        """Length of the measured time so far: what rates are divided by."""
        end_s = time.monotonic() if self._stopped_s is None else self._stopped_s
        if self.spec.pace.duration_s:
            return max(0.0, min(end_s - self.from_s, self.spec.pace.duration_s))
        # The end is the last answer: what comes after it is not the load's time.
        return max(0.0, min(end_s, max(self._last_s, self.from_s)) - self.from_s)

    @property
    def own_cpu(self) -> float:
        """The share of a core that this process used: it draws, and carries a load by SSH."""
        return self._own_cpu

    def _watch_own(self, now_s: float) -> None:
        used_s = time.process_time()
        if self._own_began is None:
            self._own_began = (now_s, used_s)
        began_s, used_before_s = self._own_began
        if now_s > began_s:
            self._own_cpu = (used_s - used_before_s) / (now_s - began_s)

    def _close_point(self, now_s: float) -> None:
        since, length_s = self._since, now_s - self._since_s
        latency: Histogram = since.latency
        self.points.append(
            Point(
                round(now_s - self.from_s, 3),
                since.answered / length_s,
                since.failures / length_s,
                latency.quantile(0.5),
                latency.quantile(0.99),
                self.in_flight,
            )
        )
        self._since, self._since_s = Tally(), now_s
