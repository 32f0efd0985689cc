"""Due times are fixed beforehand, and workers share them without a gap."""

from __future__ import annotations

import itertools
import statistics

import pytest

from aiconsole.load.schedule import due_times, share
from aiconsole.load.spec import Arrivals, Pace, Prompt, Shape, Spec


def first(count: int, rate: float, arrivals: Arrivals, seed: int = 1) -> list[float]:
    return list(itertools.islice(due_times(rate, arrivals, seed), count))


def test_even_arrivals_have_equal_distances() -> None:
    assert first(4, 4.0, "even") == [0.0, 0.25, 0.5, 0.75]


def test_even_arrivals_do_not_drift() -> None:
    assert first(30_001, 3.0, "even")[-1] == 10_000.0


def test_poisson_arrivals_have_the_rate_and_the_spread_of_independent_clients() -> None:
    times = first(20_000, 50.0, "poisson")
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert statistics.mean(gaps) == pytest.approx(0.02, rel=0.05)
    # Exponential: the deviation is the mean, and two in three are shorter than it.
    assert statistics.stdev(gaps) == pytest.approx(0.02, rel=0.05)
    assert sum(gap < 0.02 for gap in gaps) / len(gaps) == pytest.approx(0.632, abs=0.02)


def test_a_seed_makes_the_same_arrivals() -> None:
    assert first(100, 9.0, "poisson", 5) == first(100, 9.0, "poisson", 5)
    assert first(100, 9.0, "poisson", 5) != first(100, 9.0, "poisson", 6)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_workers_send_each_request_once(workers: int) -> None:
    shares = [
        itertools.islice(share(due_times(10.0, "poisson", 2), worker, workers), 50)
        for worker in range(workers)
    ]
    together = sorted(pair for part in shares for pair in part)
    assert together == list(enumerate(first(50 * workers, 10.0, "poisson", 2)))


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_the_parts_of_a_load_are_the_whole(workers: int) -> None:
    whole = Spec("http://x", pace=Pace(clients=11, requests=100, max_in_flight=50))
    parts = [whole.share(worker, workers).pace for worker in range(workers)]
    assert sum(part.clients for part in parts) == 11
    assert sum(part.requests for part in parts) == 100
    assert sum(part.max_in_flight for part in parts) == 50


def test_a_spec_passes_to_a_worker_unchanged() -> None:
    prompts = (Prompt("a"), Prompt("", ({"role": "user", "content": "b"},), 7))
    spec = Spec("http://x", Shape("chat", "m", prompts=prompts), Pace(rate=3.5), 5.0, "/ca", 1, 4)
    assert Spec.from_json(spec.as_json()) == spec
