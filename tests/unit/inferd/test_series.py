"""Series: what a request leaves in them, under our names and under vLLM's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.llama import LlamaEngine
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.metrics import REJECTIONS, Metrics
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.series.measure import Measure
from aiconsole.onhost.inferd.series.vllm import VllmNames
from aiconsole.onhost.inferd.settings import Settings
from aiconsole.onhost.inferd.tally import Tally

PIECE = Chunk(b"{}", None)


def families(metrics: Metrics) -> dict[str, Metric]:
    return {f.name: f for f in text_string_to_metric_families(metrics.text().decode())}


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """The one sample of that name and exactly those labels."""
    (found,) = [
        sample.value
        for family in families(metrics).values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return found


def done(**fields: Any) -> Exchange:
    exchange = Exchange("r", "POST", "/", "", False, route="chat", model="m", code=200)
    for name, content in fields.items():
        setattr(exchange, name, content)
    return exchange


def test_what_the_cache_gave_is_kept_apart_from_the_engines_work() -> None:
    metrics = Metrics()
    measure = Measure(metrics)
    work = {"prompt_tokens": 5, "completion_tokens": 7, "ttft_s": 0.5, "finish_reason": "stop"}
    measure.count(done(**work, cache="miss", queue_s=0.1))
    measure.count(done(**work, cache="hit"))
    measure.count(done(**work, cache="joined"))
    assert value(metrics, "inferd_completion_tokens_total", model="m") == 7
    assert value(metrics, "inferd_cached_tokens_total", kind="completion") == 14
    assert value(metrics, "inferd_cached_tokens_total", kind="prompt") == 10
    assert value(metrics, "inferd_time_to_first_token_seconds_count") == 1
    assert value(metrics, "inferd_queue_time_seconds_count") == 1
    assert value(metrics, "inferd_request_duration_seconds_count", route="chat") == 3
    for said in ("miss", "hit", "joined"):
        assert value(metrics, "inferd_cache_requests_total", result=said) == 1


def test_what_a_provider_calls_an_end_makes_no_label() -> None:
    metrics = Metrics()
    measure = Measure(metrics)
    ends = [[{"finish_reason": f"odd {n}" * 50}] for n in range(3)] + [[{"finish_reason": ["x"]}]]
    for choices in ends:
        counter = Counter(Ask("chat", {}), 0.0)
        counter.see([Chunk(b"", {"choices": choices})])
        measure.count(done(finish_reason=counter.finish_reason))
    labels = {"route": "chat", "model": "m", "code": "200"}
    assert value(metrics, "inferd_requests_total", **labels, finish_reason="other") == 3
    assert value(metrics, "inferd_requests_total", **labels, finish_reason="") == 1


def test_reasons_are_there_before_they_happen() -> None:
    metrics = Metrics()
    assert [value(metrics, "inferd_rejected_total", reason=r) for r in REJECTIONS] == [0] * 6


def test_vllms_names_say_the_same() -> None:
    metrics = Metrics()
    metrics.vllm = VllmNames("m")
    measure = Measure(metrics)
    for fields in (
        {"finish_reason": "stop", "ttft_s": 0.2, "completion_tokens": 3},
        {"finish_reason": "tool_calls", "route": "generate", "completion_tokens": 4},
        {"finish_reason": "length"},
        {"route": "embeddings"},
        {"code": 499},
        {"code": 503},
        {"cut": True},  # of an answer that was broken off the status is 200 too
        {"code": 400},
        {"route": "models", "model": ""},
    ):
        measure.count(done(**fields))
    ours = {"model_name": "m", "engine": "0"}
    ends = {"stop": 3, "length": 1, "abort": 1, "error": 2}
    for reason, count in ends.items():
        labels = {**ours, "finished_reason": reason}
        assert value(metrics, "vllm:request_success_total", **labels) == count
    assert value(metrics, "vllm:generation_tokens_total", **ours) == 7
    assert value(metrics, "vllm:time_to_first_token_seconds_count", **ours) == 1
    assert value(metrics, "vllm:time_to_first_token_seconds_bucket", **ours, le="0.25") == 1
    assert value(metrics, "vllm:time_to_first_token_seconds_bucket", **ours, le="0.1") == 0
    assert value(metrics, "vllm:e2e_request_latency_seconds_count", **ours) == 8
    assert "vllm:kv_cache_usage_perc" not in families(metrics)
    for text in (
        b'vllm:kv_cache_usage_perc{engine="0",model_name="x"} 0.25\n',
        b"# TYPE sglang:token_usage gauge\nsglang:token_usage 2.5e-1\n",
    ):
        metrics.vllm.engine_text = text
        assert value(metrics, "vllm:kv_cache_usage_perc", **ours) == 0.25


def test_each_token_counts_with_its_own_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    monkeypatch.setattr("aiconsole.onhost.inferd.reply.answer.time.perf_counter", lambda: now)
    counter = Counter(Ask("chat", {}), 9.0)
    for gap_s, pieces in ((0.5, 1), (0.02, 1), (0.04, 4), (3.0, 1)):
        now += gap_s
        counter.see([PIECE] * pieces)
    now += 1
    counter.see([Chunk(b"", {"choices": [{"finish_reason": "stop"}]})])
    counter.settle()
    metrics = Metrics()
    metrics.token_s.add(counter.gaps, counter.gaps_s)
    assert value(metrics, "inferd_inter_token_latency_seconds_count") == 6
    assert value(metrics, "inferd_inter_token_latency_seconds_sum") == pytest.approx(3.06)
    for le, count in (("0.005", 0), ("0.01", 4), ("0.025", 5), ("2.5", 5), ("5.0", 6)):
        assert value(metrics, "inferd_inter_token_latency_seconds_bucket", le=le) == count


def test_of_an_answer_at_a_stroke_the_mean_counts() -> None:
    counter = Counter(Ask("chat", {}), time.perf_counter())
    usage = {"prompt_tokens": 1, "completion_tokens": 11}
    counter.see([Chunk(b"", {"choices": [], "usage": usage, "timings": {"predicted_ms": 200.0}})])
    counter.settle()
    assert sum(counter.gaps) == 10
    assert counter.gaps_s == pytest.approx(0.2)
    metrics = Metrics()
    metrics.token_s.add(counter.gaps, counter.gaps_s)
    assert value(metrics, "inferd_inter_token_latency_seconds_bucket", le="0.025") == 10


async def test_what_a_gateway_shows(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"model": {"name": "m", "path": "/m.gguf"}, "cache": {"backend": "memory"}}
    )
    engine = LlamaEngine(settings.model, settings.engine, tmp_path)
    gateway = Gateway(settings, engine, Tally("a", "r1"), Credentials(None), open_to_all=False)
    found = families(gateway.metrics)
    for name in ("inferd_cache_up", "process_open_fds", "process_cpu_seconds", "inferd_tasks"):
        assert name in found
    assert found["inferd_engine_restarts"].type == "counter"
    (info,) = found["inferd_build_info"].samples
    assert info.labels["engine"] == "llama"
    await gateway.audit.close()
