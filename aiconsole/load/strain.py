"""Whether the client was the limit: then the figures are its own, not the server's."""

from __future__ import annotations

from dataclasses import dataclass

from aiconsole.load.progress import Progress
from aiconsole.units import percent, seconds_text

FULL_CORE = 0.9
"""Share of a core beyond which a worker is taken for the limit: Python runs on one."""
_LATE_S = 0.05
_LATE_SHARE = 0.1
_LEAST_LATE_S = 0.002


@dataclass(frozen=True, slots=True)
class Strain:
    """How the client fared."""

    cpu: float
    """The largest share of a core that one worker used."""
    loop_lag_p99_s: float | None
    late_p99_s: float | None
    """Of an open loop: how much later than due requests left; it is within their latency."""
    not_sent: int
    reasons: tuple[str, ...]
    """Why the client was the limit; empty where it was not."""


def strain_of(progress: Progress, workers: int) -> Strain:
    """Judge the client by what it has counted so far."""
    total, cpu = progress.total, progress.cpu
    lag_s, late_s = total.loop_lag.quantile(0.99), total.late.quantile(0.99)
    tail_s = total.latency.quantile(0.99)
    reasons = []
    if total.not_sent:
        most = progress.spec.pace.max_in_flight
        reasons.append(
            f"{total.not_sent:,} due requests not sent: {most:,} were at work (--max-in-flight)"
        )
    if cpu > FULL_CORE:
        reasons.append(
            f"the client used {percent(cpu * 100)} of a core; try --processes {workers * 2}"
        )
    if progress.own_cpu > FULL_CORE:
        reasons.append(
            f"the console, through which the load goes, used {percent(progress.own_cpu * 100)} of"
            " a core"
        )
    if late_s is not None and _is_much(late_s, tail_s):
        reasons.append(f"1 % of the requests left {seconds_text(late_s)} or more after their time")
    elif lag_s is not None and _is_much(lag_s, tail_s):
        reasons.append(
            f"1 % of the client's turns came {seconds_text(lag_s)} or more late: this machine is"
            " too busy"
        )
    return Strain(cpu, lag_s, late_s, total.not_sent, tuple(reasons))


def _is_much(late_s: float, tail_s: float | None) -> bool:
    """True where it cannot be passed over beside what was measured."""
    if late_s > _LATE_S:
        return True
    return tail_s is not None and late_s > max(_LEAST_LATE_S, _LATE_SHARE * tail_s)
