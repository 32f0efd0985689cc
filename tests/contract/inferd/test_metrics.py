"""What Prometheus sees of a daemon, and what it sees of the engine behind it."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import httpx

from tests.contract.inferd.running import daemon, settings_text, until
from tests.contract.inferd.scrape import Scrape

CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 20, "ignore_eos": True}
MIRRORED = {
    "inferd_prompt_tokens_total": "vllm:prompt_tokens_total",
    "inferd_completion_tokens_total": "vllm:generation_tokens_total",
    "inferd_time_to_first_token_seconds_count": "vllm:time_to_first_token_seconds_count",
    "inferd_time_to_first_token_seconds_sum": "vllm:time_to_first_token_seconds_sum",
    "inferd_inter_token_latency_seconds_count": "vllm:inter_token_latency_seconds_count",
    "inferd_queue_time_seconds_sum": "vllm:request_queue_time_seconds_sum",
    "inferd_requests_running": "vllm:num_requests_running",
    "inferd_requests_waiting": "vllm:num_requests_waiting",
}


def test_series_under_both_names(room: Path, tiny_model: Path) -> None:
    with daemon(room, settings_text(tiny_model) + '\n[metrics]\ncompat = ["vllm"]\n') as running:
        running.until_ready()
        for more in ({}, {"stream": True}, {"stream": True}):
            assert httpx.post(running.url + CHAT, json={**ASK, **more}).status_code == 200
        httpx.get(running.url + "/v1/models")
        scrape = Scrape(running.url)
        for ours, theirs in MIRRORED.items():
            assert scrape.value(theirs) == scrape.value(ours)
            assert scrape.labels(theirs) == [{"model_name": "tiny", "engine": "0"}]
        assert scrape.value("vllm:request_success_total", finished_reason="length") == 3
        assert scrape.value("vllm:e2e_request_latency_seconds_count") == 3
        assert scrape.value("inferd_inter_token_latency_seconds_count") >= 2 * 18
        for family in scrape.families.values():
            counts = [s.value for s in family.samples if s.name.endswith("_bucket")]
            if family.type == "histogram" and not family.samples[0].labels.get("route"):
                assert all(a <= b for a, b in itertools.pairwise(counts)), family.name


def test_the_engines_own_series(room: Path, tiny_model: Path) -> None:
    model = Path(shutil.copy(tiny_model, room / "model.gguf"))
    with daemon(room, settings_text(model)) as running:
        running.until_ready()
        httpx.post(running.url + CHAT, json=ASK)
        page = running.url + "/metrics/engine"
        scrape = Scrape(running.url, "/metrics/engine")
        assert scrape.value("llamacpp:tokens_predicted_total") >= 20
        assert httpx.get(page, headers={"x-forwarded-for": "10.0.0.1"}).status_code == 401
        assert scrape.families.keys().isdisjoint(Scrape(running.url).families)

        # Whoever asks within the same second sees the same: the engine is asked once.
        texts: list[str] = []
        began = time.monotonic()

        def look() -> None:
            texts.append(httpx.get(page).text)

        looking = [threading.Thread(target=look) for _ in range(8)]
        httpx.post(running.url + CHAT, json=ASK)
        for thread in looking:
            thread.start()
        for thread in looking:
            thread.join()
        if time.monotonic() - began < 1:
            assert len(set(texts)) <= 2  # a second may have ended in between
        until(lambda: httpx.get(page).text not in texts, "newer numbers")

        model.rename(room / "away")
        os.kill(running.engine_pid(), signal.SIGKILL)
        until(lambda: httpx.get(page).status_code == 503, "no page of a dead engine")
        assert httpx.get(page).json()["error"]["code"] == "engine_unavailable"
        assert Scrape(running.url).value("inferd_ready") == 0
        (room / "away").rename(model)
        until(lambda: httpx.get(page).status_code == 200, "the page of the next engine")
        assert Scrape(running.url).value("inferd_engine_restarts_total") >= 1
