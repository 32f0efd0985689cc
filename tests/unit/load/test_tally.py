"""What requests are counted as, and when the client is to blame."""

from __future__ import annotations

import json

import pytest

from aiconsole.load.answer import Answer
from aiconsole.load.crew import Beat
from aiconsole.load.exchange import Exchange
from aiconsole.load.failure import FailedError
from aiconsole.load.progress import Progress
from aiconsole.load.spec import Pace, Spec
from aiconsole.load.strain import strain_of
from aiconsole.load.tally import Tally


def answered(sent_s: float, ended_s: float, arrivals_s: list[float], tokens: int = 0) -> Exchange:
    answer = Answer()
    answer.arrivals_s = arrivals_s
    answer.tokens_in, answer.tokens_out = 5, tokens
    return Exchange(sent_s, ended_s, answer)


def test_latency_counts_from_when_a_request_was_due() -> None:
    tally = Tally()
    tally.count(10.0, answered(11.0, 11.5, [11.25, 11.5]), streams=True)
    assert tally.latency.greatest_s == 1.5
    assert tally.service.greatest_s == 0.5
    assert tally.first_token.greatest_s == 1.25
    assert tally.between.greatest_s == 0.25


def test_rates_take_the_share_within_the_window() -> None:
    tally = Tally()
    tally.credit(answered(0.0, 2.0, [2.0], 10), 1.0, 5.0, streams=True)
    tally.credit(answered(2.0, 3.0, [3.0], 10), 1.0, 5.0, streams=True)
    tally.credit(answered(4.0, 8.0, [8.0], 8), 1.0, 5.0, streams=True)
    tally.credit(answered(5.0, 6.0, [6.0], 99), 1.0, 5.0, streams=True)
    assert tally.requests_in_window == 0.5 + 1 + 0.25
    assert tally.tokens_out == 5 + 10 + 2


def test_kinds_of_failure_are_bounded_and_keep_one_example() -> None:
    tally = Tally()
    for number in range(200):
        tally.fail(FailedError(f"HTTP {number}", f"text {number}"))
        tally.fail(FailedError("HTTP 0", "later"))
    assert tally.failures == 400
    assert len(tally.failed) == 41
    assert tally.failed["HTTP 0"] == 201
    assert tally.examples["HTTP 0"] == "text 0"
    assert tally.failed["others"] == 160


def test_tallies_add_up_over_json() -> None:
    one, two = Tally(sent=3), Tally(sent=4, not_sent=1)
    one.fail(FailedError("reset", "a"))
    two.fail(FailedError("reset", "b"))
    two.count(0.0, answered(0.0, 1.0, [0.5, 1.0]), streams=True)
    one.merge(Tally.from_json(json.loads(json.dumps(two.as_json()))))
    assert (one.sent, one.not_sent, one.answered, one.failed) == (7, 1, 1, {"reset": 2})
    assert one.examples == {"reset": "a"}
    assert one.between.count == 1


def progress_of(tally: Tally, cpu_s: float = 0.05) -> Progress:
    progress = Progress(Spec("http://x", pace=Pace(rate=10.0, max_in_flight=7)), 0.0)
    progress.add(Beat(0, tally, 0, 0.25, cpu_s, 1.0))
    return progress


def quick(count: int = 100) -> Tally:
    tally = Tally()
    for _ in range(count):
        tally.count(0.0, answered(0.0, 0.1, [0.1]), streams=True)
        tally.loop_lag.record(0.0001)
        tally.late.record(0.0002)
    return tally


def test_a_client_that_keeps_up_is_not_blamed() -> None:
    assert strain_of(progress_of(quick()), 1).reasons == ()


def test_each_limit_of_the_client_is_told() -> None:
    tally = quick()
    tally.not_sent = 3
    assert "3 due requests not sent: 7 were at work" in strain_of(progress_of(tally), 1).reasons[0]
    [reason] = strain_of(progress_of(quick(), cpu_s=0.24), 2).reasons
    assert "96 % of a core; try --processes 4" in reason
    tally = quick()
    for _ in range(5):
        tally.late.record(0.03)
    [reason] = strain_of(progress_of(tally), 1).reasons
    assert "left 30.0 ms or more after their time" in reason
    tally = quick()
    for _ in range(5):
        tally.loop_lag.record(0.2)
    [reason] = strain_of(progress_of(tally), 1).reasons
    assert "200 ms or more late" in reason


def test_a_load_of_so_many_requests_ends_with_its_last_answer() -> None:
    progress = Progress(Spec("http://x", pace=Pace(duration_s=0.0, requests=4)), 100.0)
    progress.add(Beat(0, Tally(), 0, 0.25, 0.0, 102.0))
    assert progress.measured_s == pytest.approx(min(2.0, max(0.0, progress.measured_s)))
