"""A text in, a text out."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.contract.inferd.running import Running

GENERATE, INFERENCE = "/v1/generate", "/v1/inference"
GREEDY = {"temperature": 0, "seed": 1, "max_tokens": 8}


def _events(answer: httpx.Response) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_it_goes_on_with_the_text(client: httpx.Client) -> None:
    plain = client.post(GENERATE, json={"prompt": "hi", **GREEDY})
    assert plain.status_code == 200, plain.text
    answer = plain.json()
    known = client.post("/v1/completions", json={"prompt": "hi", **GREEDY}).json()
    assert set(answer) == {"id", "object", "created", "model", "text", "finish_reason", "usage"}
    assert answer["text"] == known["choices"][0]["text"]
    assert answer["finish_reason"] == "length"
    assert answer["usage"] == known["usage"]
    assert answer["id"] == plain.headers["x-request-id"]
    assert answer["model"] == "tiny"


def test_a_message_is_put_into_the_template(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "hi"}]
    known = client.post("/v1/chat/completions", json={"messages": messages, **GREEDY}).json()
    for body in ({"input": "hi"}, {"messages": messages}, {"inputs": "hi"}):
        answer = client.post(INFERENCE, json={**body, **GREEDY}).json()
        assert answer["text"] == known["choices"][0]["message"]["content"]
        assert answer["usage"] == known["usage"]


@pytest.mark.parametrize("path", [GENERATE, INFERENCE])
def test_events(client: httpx.Client, path: str) -> None:
    whole = client.post(path, json={"input": "hi", **GREEDY}).json()
    *texts, last = _events(client.post(path, json={"input": "hi", "stream": True, **GREEDY}))
    assert len(texts) >= 1
    assert all(set(event) == {"text"} for event in texts)
    assert "".join(event["text"] for event in texts) == whole["text"]
    assert last == {"finish_reason": "length", "usage": whole["usage"]}


def test_other_names_and_nesting(client: httpx.Client) -> None:
    whole = client.post(GENERATE, json={"prompt": "hi", **GREEDY}).json()["text"]
    nested = {"max_new_tokens": 8, "temperature": 0, "seed": 1, "stop_sequences": [whole[4:6]]}
    answer = client.post(GENERATE, json={"inputs": "hi", "parameters": nested}).json()
    assert answer["text"] == whole[: whole.index(whole[4:6])]
    assert answer["finish_reason"] == "stop"


def test_a_form(client: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"up": {"type": "boolean"}}, "required": ["up"],
              "additionalProperties": False}  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    body = {"input": "hi", "response_format": form, "max_tokens": 400, "temperature": 0}
    assert set(json.loads(client.post(INFERENCE, json=body).json()["text"])) == {"up"}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (GENERATE, {}, "prompt"),
        (GENERATE, {"messages": [{"role": "user", "content": "hi"}]}, "prompt"),
        (GENERATE, {"prompt": ["hi"]}, "prompt"),
        (GENERATE, {"prompt": "a", "inputs": "b"}, "inputs"),
        (GENERATE, {"prompt": "a", "parameters": [1]}, "parameters"),
        (GENERATE, {"prompt": "a", "max_new_tokens": 0}, "max_tokens"),
        (GENERATE, {"prompt": "a", "stream": 1}, "stream"),
        (INFERENCE, {}, "input"),
        (INFERENCE, {"input": 3}, "input"),
        (INFERENCE, {"input": "a", "messages": []}, "messages"),
        (INFERENCE, {"messages": [{"content": "a"}]}, "messages[0].role"),
    ],
)
def test_refused(client: httpx.Client, path: str, body: Any, param: str) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_each_has_its_name_in_the_log(shared: Running, client: httpx.Client) -> None:
    for path, route in ((GENERATE, "generate"), (INFERENCE, "inference")):
        line = shared.audit_of(client.post(path, json={"input": "hi", **GREEDY}))
        assert (line["route"], line["code"], line["completion_tokens"]) == (route, 200, 8)
