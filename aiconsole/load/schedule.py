"""When requests are due: fixed beforehand, so that a slow answer moves nothing after it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from aiconsole.load.spec import Arrivals


def due_times(rate: float, arrivals: Arrivals, seed: int) -> Iterator[float]:
    """Seconds after the start, without end; the same for the same seed.

    Args:
        rate: Requests a second.
        arrivals: `even` for equal distances; `poisson` for independent clients, who come in
            bunches.
        seed: Of the random distances.
    """
    if arrivals == "even":
        yield from (number / rate for number in itertools.count())
        return
    random_ = random.Random(seed)  # noqa: S311 - arrivals, not a secret
    due_s = 0.0
    while True:
        due_s += random_.expovariate(rate)
        yield due_s


def share(times: Iterator[float], worker: int, workers: int) -> Iterator[tuple[int, float]]:
    """The number and the time of each request of one worker; together they send all."""
    return itertools.islice(enumerate(times), worker, None, workers)
