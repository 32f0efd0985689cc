"""What clients ask, by the official client where it can ask it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.contract.inferd.running import Running

HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]


@pytest.fixture
def api(shared: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="none", max_retries=0) as api:
        yield api


def test_chat(api: openai.OpenAI) -> None:
    answer = api.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8)
    assert answer.object == "chat.completion"
    assert answer.model == "tiny"
    assert answer.choices[0].message.role == "assistant"
    assert len(answer.choices[0].message.content or "") >= 8
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8


def test_chat_stream_gives_the_same_text_and_one_usage_at_the_end(api: openai.OpenAI) -> None:
    whole = api.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=8, temperature=0, seed=3
    )
    chunks = list(
        api.chat.completions.create(
            model="tiny", messages=HELLO, max_tokens=8, temperature=0, seed=3,
            stream=True, stream_options={"include_usage": True},
        )
    )  # fmt: skip
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert [c.usage is not None for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].usage == whole.usage or chunks[-1].usage.completion_tokens == 8  # type: ignore[union-attr]
    assert chunks[-2].choices[0].finish_reason == "length"


def test_stream_without_usage_has_none(api: openai.OpenAI) -> None:
    stream = api.completions.create(model="tiny", prompt="hi", max_tokens=4, stream=True)
    chunks = list(stream)
    assert all(chunk.usage is None for chunk in chunks)
    assert "".join(chunk.choices[0].text for chunk in chunks) != ""


def test_several_answers(api: openai.OpenAI) -> None:
    answer = api.completions.create(model="tiny", prompt="hi", max_tokens=4, n=3)
    assert sorted(choice.index for choice in answer.choices) == [0, 1, 2]
    assert all(len(choice.text) >= 4 for choice in answer.choices)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    single = api.completions.create(model="tiny", prompt="hi", max_tokens=4)
    assert single.usage is not None
    assert answer.usage.prompt_tokens == single.usage.prompt_tokens


def test_several_prompts(api: openai.OpenAI) -> None:
    answer = api.completions.create(model="tiny", prompt=["one", "two"], max_tokens=4)
    assert sorted(choice.index for choice in answer.choices) == [0, 1]


def test_seed_and_stop(api: openai.OpenAI) -> None:
    def ask(**more: object) -> str:
        answer = api.completions.create(  # type: ignore[call-overload]
            model="tiny", prompt="hi", max_tokens=12, seed=5, **more
        )
        return str(answer.choices[0].text)

    text = ask()
    assert ask() == text
    stop = text[4:6]
    assert ask(stop=stop) == text[: text.index(stop)]


def test_logprobs_are_gathered(api: openai.OpenAI) -> None:
    answer = api.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=5, logprobs=True, top_logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content) == 5
    assert all(len(token.top_logprobs) == 2 for token in logprobs.content)


def test_max_tokens_is_held_to_the_context(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/completions", json={"prompt": "hi", "max_tokens": 10**9, "ignore_eos": True}
    )
    assert answer.status_code == 200
    assert 1000 < answer.json()["usage"]["total_tokens"] <= 2048


def test_fields_that_are_not_known_stay_out(client: httpx.Client) -> None:
    more = {"id_slot": 10**6, "n_predict": -1, "store": True, "metadata": {"a": "b"}}
    answer = client.post("/v1/completions", json={"prompt": "hi", "max_tokens": 2, **more})
    assert answer.json()["usage"]["completion_tokens"] == 2


def test_models(api: openai.OpenAI, client: httpx.Client) -> None:
    assert [model.id for model in api.models.list()] == ["tiny"]
    assert api.models.retrieve("tiny").object == "model"
    assert client.get("/v1/models/other").status_code == 404


def test_health_names_the_process(shared: Running, client: httpx.Client) -> None:
    health = client.get("/health").json()
    status = shared.status()
    assert health["status"] == "ok"
    assert (health["slot"], health["release"], health["state"]) == ("a", "tiny-a", "ready")
    assert health["instance"] == status["instance"]
    assert status["pid"] == shared.process.pid
    assert client.post("/health").status_code == 200
    assert client.get("/ready").json()["ready"] is True


def test_request_ids(client: httpx.Client) -> None:
    kept = client.get("/health", headers={"x-request-id": "abc-1.2:3"})
    assert kept.headers["x-request-id"] == "abc-1.2:3"
    replaced = client.get("/health", headers={"x-request-id": 'a"b'})
    assert re.fullmatch("[0-9a-f]{32}", replaced.headers["x-request-id"])
    refused = client.post("/v1/completions", headers={"x-request-id": "bad"}, content=b"{")
    assert refused.headers["x-request-id"] == "bad"


def test_metrics_count_what_was_asked(client: httpx.Client) -> None:
    def count(series: str) -> float:
        found = re.search(rf"^{re.escape(series)} (.+)$", client.get("/metrics").text, re.M)
        return float(found[1]) if found else 0.0

    tokens = 'inferd_completion_tokens_total{model="tiny"}'
    ttft = "inferd_time_to_first_token_seconds_count"
    before = count(tokens), count(ttft)
    client.post("/v1/completions", json={"prompt": "hi", "max_tokens": 7})
    assert (count(tokens), count(ttft)) == (before[0] + 7, before[1] + 1)
    assert count("inferd_ready") == 1
    assert count("inferd_requests_running") == 0
    assert count('inferd_engine_state{state="ready"}') == 1
    assert count("inferd_engine_resident_bytes") > 1e6


def test_stream_headers(client: httpx.Client) -> None:
    body = {"prompt": "hi", "max_tokens": 2, "stream": True}
    answer = client.post("/v1/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "access-control-allow-origin" not in answer.headers


def test_tool_calls_and_schema_reach_the_engine(client: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"up": {"type": "boolean"}}, "required": ["up"]}
    form = {"type": "json_schema", "json_schema": {"name": "state", "schema": schema}}
    answer = client.post(
        "/v1/chat/completions",
        json={"messages": HELLO, "max_tokens": 200, "response_format": form, "temperature": 0},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"].lstrip().startswith("{")


def test_the_log_has_the_request_and_not_its_text(shared: Running, client: httpx.Client) -> None:
    from tests.contract.inferd.running import until

    client.post(
        "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "sesame-open"}], "max_tokens": 3},
        headers={"x-request-id": "audited"},
    )
    until(lambda: any(line["id"] == "audited" for line in shared.audit), "the audit line")
    (line,) = [line for line in shared.audit if line["id"] == "audited"]
    assert (line["route"], line["code"], line["completion_tokens"]) == ("chat", 200, 3)
    assert 0 < line["ttft_s"] <= line["total_s"]
    assert "sesame" not in shared.log
    assert json.dumps(line)


def test_a_short_answer_at_a_stroke_is_as_complete_as_one_from_a_stream(
    client: httpx.Client,
) -> None:
    """The first teaches the daemon the engine's pace, the second is asked for at a stroke."""
    body = {"messages": HELLO, "max_tokens": 8, "temperature": 0, "seed": 1, "logprobs": True}
    first, second = (client.post("/v1/chat/completions", json=body).json() for _ in range(2))
    for answer in (first, second):
        assert answer["choices"][0]["message"]["role"] == "assistant"
        assert len(answer["choices"][0]["logprobs"]["content"]) == 8
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == 8
    assert first["choices"][0]["message"] == second["choices"][0]["message"]
    assert set(first) == set(second)
