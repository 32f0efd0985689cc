from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aiconsole.onhost.inferd.metrics import Metrics
from aiconsole.onhost.probe.exposition import parse_exposition

HOSTILE = r"""
# HELP wanted_total text with wanted_total 3
wanted_total{a="1",b="x y\"}\\\n"} 3 1700000000000
wanted_total{a="2",} 4.5
wanted_total{a="3"} NaN
wanted_total{a="3"} +Inf
wanted_total{a="4} 5
wanted_total{a=4} 5
wanted_total
wanted_total{} x
wanted_total{a="1"}{b="2"} 1
wanted_total_more 7
wantedtotal 8
other_total 9
"""


def test_only_what_is_wanted_and_whole_is_taken() -> None:
    found = parse_exposition(HOSTILE, ["wanted_total"])
    assert found.samples == {
        "wanted_total": [({"a": "1", "b": 'x y"}\\\n'}, 3.0), ({"a": "2"}, 4.5)]
    }
    assert found.total("wanted_total") == 7.5
    assert found.total("other_total") is None
    assert found.bad_lines == 7


def test_an_endless_label_is_refused_in_time() -> None:
    text = 'wanted_total{a="' + '\\"' * 200_000 + " 1\n"
    assert parse_exposition(text, ["wanted_total"]).bad_lines == 1


def test_garbage_is_nothing() -> None:
    noise = bytes(range(256)).decode("latin-1") * 50
    assert parse_exposition(noise, ["wanted_total"]).samples == {}


def test_it_reads_what_the_daemon_writes_as_the_reference_does() -> None:
    metrics = Metrics()
    metrics.requests.labels("chat", 'tiny "q8"\\', 200, "stop").inc(3)
    metrics.requests.labels("chat", "tiny", 503, "").inc()
    metrics.duration_s.labels("chat").observe(0.3)
    metrics.duration_s.labels("health").observe(0.001)
    text = metrics.text().decode()
    names = {"inferd_requests_total", "inferd_request_duration_seconds_bucket"}
    wanted = [
        (sample.name, dict(sample.labels), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in names
    ]
    found = parse_exposition(text, names)
    assert found.bad_lines == 0
    ours = [
        (name, dict(labels), value)
        for name, all_ in found.samples.items()
        for labels, value in all_
    ]
    assert sorted(ours, key=str) == sorted(wanted, key=str)


def test_buckets_are_summed_over_the_routes_that_count() -> None:
    metrics = Metrics()
    metrics.duration_s.labels("chat").observe(0.3)
    metrics.duration_s.labels("text").observe(1000)
    metrics.duration_s.labels("health").observe(0.3)
    found = parse_exposition(metrics.text().decode(), ["inferd_request_duration_seconds_bucket"])
    buckets = found.buckets(
        "inferd_request_duration_seconds", lambda labels: labels["route"] != "health"
    )
    assert (buckets[0.16], buckets[0.32], buckets[math.inf]) == (0, 1, 2)
    assert list(buckets) == pytest.approx(sorted(buckets))
