"""Texts in, vectors out, in every shape that clients send and want."""

from __future__ import annotations

import base64
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text, until

PATH = "/v1/embeddings"


@pytest.fixture
def api(shared: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key="none", max_retries=0) as api:
        yield api


def _ask(client: httpx.Client, given: Any, **more: Any) -> dict[str, Any]:
    answer = client.post(PATH, json={"input": given, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _vectors(answer: dict[str, Any]) -> list[list[float]]:
    assert [item["index"] for item in answer["data"]] == list(range(len(answer["data"])))
    return [item["embedding"] for item in answer["data"]]


def test_a_text(client: httpx.Client) -> None:
    answer = _ask(client, "the cat", model="tiny")
    (vector,) = _vectors(answer)
    assert answer["object"] == "list"
    assert answer["model"] == "tiny"
    assert len(vector) == 128
    assert abs(sum(number * number for number in vector) - 1) < 1e-3
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0


def test_base64_is_little_endian_float32(client: httpx.Client) -> None:
    (floats,) = _vectors(_ask(client, "the cat"))
    (text,) = _vectors(_ask(client, "the cat", encoding_format="base64"))
    raw = base64.b64decode(str(text))
    assert struct.unpack("<128f", raw) == pytest.approx(floats, abs=1e-6)


def test_tokens_are_the_same_as_their_text(client: httpx.Client) -> None:
    # The first 256 tokens of the model are the bytes.
    text, tokens = "zq", [ord("z"), ord("q")]
    (by_text,) = _vectors(_ask(client, text))
    (by_tokens,) = _vectors(_ask(client, tokens))
    assert by_tokens == pytest.approx(by_text, abs=1e-5)
    both = _vectors(_ask(client, [tokens, [ord("x")]]))
    assert len(both) == 2
    assert both[0] == pytest.approx(by_text, abs=1e-5)


def test_a_long_list_keeps_its_order_and_its_sum(client: httpx.Client) -> None:
    words = [f"word {index}" for index in range(100)]  # more than three micro-batches
    answer = _ask(client, words)
    vectors = _vectors(answer)
    assert len(vectors) == 100
    for index in (0, 31, 32, 63, 64, 99):
        single = _ask(client, words[index])
        assert vectors[index] == pytest.approx(_vectors(single)[0], abs=1e-4)
    tokens = sum(_ask(client, word)["usage"]["prompt_tokens"] for word in words[:10])
    assert answer["usage"]["prompt_tokens"] == tokens + 90 * 7


def test_the_official_client_asks_for_base64_unasked(api: openai.OpenAI) -> None:
    answer = api.embeddings.create(model="tiny", input=["the cat", "a dog"])
    assert [len(item.embedding) for item in answer.data] == [128, 128]
    floats = api.embeddings.create(model="tiny", input="the cat", encoding_format="float")
    assert answer.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_field", "input"),
        ({"input": ""}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": ["a", ""]}, "invalid_value", "input"),
        ({"input": ["a", 1]}, "invalid_value", "input"),
        ({"input": [[1], "a"]}, "invalid_value", "input"),
        ({"input": [[]]}, "invalid_value", "input"),
        ({"input": [[-1]]}, "invalid_value", "input"),
        ({"input": [True]}, "invalid_value", "input"),
        ({"input": {"a": 1}}, "invalid_value", "input"),
        ({"input": ["a"] * 2049}, "invalid_value", "input"),
        ({"input": [10**9]}, "engine_refused", None),
        ({"input": "a", "encoding_format": "int8"}, "invalid_value", "encoding_format"),
        ({"input": "a", "dimensions": 64}, "unsupported_parameter", "dimensions"),
        ({"input": "a", "dimensions": 0}, "invalid_value", "dimensions"),
    ],
)
def test_refused(client: httpx.Client, body: Any, code: str, param: str | None) -> None:
    answer = client.post(PATH, json=body)
    assert answer.status_code == 400, answer.text
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)


def test_an_input_that_is_too_long_for_the_engine(client: httpx.Client) -> None:
    answer = client.post(PATH, json={"input": "zq" * 400})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "800" in error["message"]
    assert "256" in error["message"]


def test_another_model(client: httpx.Client) -> None:
    answer = client.post(PATH, json={"model": "other", "input": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_it_is_counted_and_written_down(shared: Running, client: httpx.Client) -> None:
    answer = client.post(PATH, json={"input": ["one", "two"]})
    line = shared.audit_of(answer)
    assert (line["route"], line["model"], line["code"]) == ("embeddings", "tiny", 200)
    assert line["prompt_tokens"] == answer.json()["usage"]["prompt_tokens"]
    assert line["completion_tokens"] == 0


def test_it_waits_for_its_place_like_any_other(room: Path, slow_model: Path) -> None:
    limits = "running = 1\nqueue = 1"
    with daemon(room, settings_text(slow_model, engine="slots = 1", limits=limits)) as running:
        running.until_ready()
        url = running.url
        long = {"prompt": "hi", "max_tokens": 8000, "ignore_eos": True, "stream": True}
        with httpx.stream("POST", url + "/v1/completions", json=long, timeout=60) as stream:
            parts = stream.iter_raw()
            next(parts)
            found: list[httpx.Response] = []
            waiting = threading.Thread(
                target=lambda: found.append(httpx.post(url + PATH, json={"input": "a"}, timeout=60))
            )
            waiting.start()
            until(lambda: "inferd_requests_waiting 1.0" in _metrics(url), "it waits")
            full = httpx.post(url + PATH, json={"input": "a"})
            assert (full.status_code, full.json()["error"]["code"]) == (503, "queue_full")
        waiting.join(30)
        assert found[0].status_code == 200


def _metrics(url: str) -> str:
    return httpx.get(url + "/metrics").text
