"""What OpenAI's fields mean here: done as they say, refused, or ignored; never half."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text
from tests.fixtures import tiny_gguf
from tests.fixtures.tiny_gguf import TOOL_MARK_TOKEN, TOOL_TEMPLATE, Shape

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HI = [{"role": "user", "content": "hi"}]
GREEDY = {"temperature": 0, "seed": 1, "max_tokens": 8}


def _tool(name: str, *cities: str) -> dict[str, Any]:
    city = {"type": "string", "enum": list(cities)}
    parameters = {"type": "object", "properties": {"city": city}, "required": ["city"],
                  "additionalProperties": False}  # fmt: skip
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER, TIME = _tool("get_weather", "Oslo", "Rome"), _tool("get_time", "Lima")
CALL = {
    "messages": HI, "tools": [WEATHER, TIME], "tool_choice": "required",
    "parallel_tool_calls": False, "max_tokens": 300, "temperature": 0,
    "stop": ["</tool_call>"], "logit_bias": {str(TOOL_MARK_TOKEN): 100},
}  # fmt: skip


def _chat(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _content(client: httpx.Client, **body: Any) -> str:
    return str(_chat(client, {"messages": HI, **body})["choices"][0]["message"]["content"])


def _events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def _refused(answer: httpx.Response, param: str, code: str = "invalid_value") -> None:
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert param.rpartition(".")[2] in error["message"]


def test_a_tool_call(with_tools: Running) -> None:
    answer = httpx.post(with_tools.url + CHAT, json=CALL, timeout=60)
    choice = answer.json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"]
    cities = {"get_weather": ("Oslo", "Rome"), "get_time": ("Lima",)}
    assert json.loads(call["function"]["arguments"])["city"] in cities[call["function"]["name"]]


def test_a_tool_call_in_pieces(with_tools: Running) -> None:
    body = {**CALL, "stream": True}
    chunks = _events(httpx.post(with_tools.url + CHAT, json=body, timeout=60).text)
    pieces = [
        piece for chunk in chunks for piece in chunk["choices"][0]["delta"].get("tool_calls", ())
    ]
    assert len(pieces) > 3
    assert pieces[0]["id"]
    assert not [piece for piece in pieces[1:] if piece.get("id")]
    arguments = "".join(piece["function"].get("arguments", "") for piece in pieces)
    assert set(json.loads(arguments)) == {"city"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_the_tool_that_was_named_and_no_other(with_tools: Running) -> None:
    choice = {"type": "function", "function": {"name": "get_time"}}
    answer = httpx.post(with_tools.url + CHAT, json={**CALL, "tool_choice": choice}, timeout=60)
    (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "get_time"
    assert json.loads(call["function"]["arguments"]) == {"city": "Lima"}


def test_no_tool_where_none_is_wanted(with_tools: Running) -> None:
    body = {"messages": HI, "tools": [WEATHER], "tool_choice": "none", **GREEDY}
    answer = httpx.post(with_tools.url + CHAT, json=body, timeout=60).json()
    plain = httpx.post(with_tools.url + CHAT, json={"messages": HI, **GREEDY}, timeout=60).json()
    assert "tool_calls" not in answer["choices"][0]["message"]
    assert answer["usage"] == plain["usage"]  # the template was not told of them


def test_the_result_of_a_tool_goes_back(with_tools: Running) -> None:
    call = {"id": "a", "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}  # fmt: skip
    turns = [
        *HI,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "sunny"},
    ]
    body = {"messages": turns, "tools": [WEATHER], "tool_choice": "required", **GREEDY}
    answer = httpx.post(with_tools.url + CHAT, json=body, timeout=60)
    assert answer.status_code == 200, answer.text


def test_the_model_may_choose_not_to(room: Path) -> None:
    model = tiny_gguf.write(room / "m.gguf", Shape(template=TOOL_TEMPLATE))
    with daemon(room, settings_text(model)) as running:
        running.until_ready()
        with httpx.Client(base_url=running.url, timeout=60) as client:
            plain = _chat(client, {"messages": HI, **GREEDY})
            for choice in ({}, {"tool_choice": "auto"}):
                told = _chat(client, {"messages": HI, "tools": [WEATHER], **GREEDY, **choice})
                assert told["choices"][0]["message"]["content"]
                assert told["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"] + 100


def test_a_model_without_tools_says_so(client: httpx.Client) -> None:
    answer = client.post(CHAT, json={"messages": HI, "tools": [WEATHER]})
    _refused(answer, "tools", "tools_unsupported")
    assert client.post(CHAT, json={"messages": HI, "tools": [], **GREEDY}).status_code == 200


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": ["a"]}, "tools[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [WEATHER], "tool_choice": "any"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": 3}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}},
         "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": "x"}}, "tool_choice"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": 3}}},
         "response_format"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": 2}, "logprobs"),
    ],
)  # fmt: skip
def test_refused_in_a_chat(client: httpx.Client, more: dict[str, Any], param: str) -> None:
    _refused(client.post(CHAT, json={"messages": HI, **more}), param)


@pytest.mark.parametrize(
    ("path", "name", "value", "harmless"),
    [
        (CHAT, "functions", [{"name": "f"}], []),
        (CHAT, "function_call", "auto", "none"),
        (CHAT, "modalities", ["text", "audio"], ["text"]),
        (CHAT, "audio", {"voice": "x"}, None),
        (CHAT, "prediction", {"type": "content", "content": "x"}, None),
        (TEXT, "echo", True, False),
        (TEXT, "suffix", "end", ""),
        (TEXT, "best_of", 3, 1),
        (TEXT, "response_format", {"type": "json_object"}, {"type": "text"}),
    ],
)
def test_what_is_not_done_is_refused_and_not_forgotten(
    client: httpx.Client, path: str, name: str, value: Any, harmless: Any
) -> None:
    body = {"messages": HI, **GREEDY} if path == CHAT else {"prompt": "hi", **GREEDY}
    _refused(client.post(path, json={**body, name: value}), name, "unsupported_parameter")
    assert client.post(path, json={**body, name: harmless}).status_code == 200


def test_what_does_not_change_the_answer_is_ignored(client: httpx.Client) -> None:
    more = {"user": "u1", "metadata": {"a": "b"}, "store": True, "service_tier": "auto",
            "unheard_of": [1]}  # fmt: skip
    assert _content(client, **GREEDY, **more) == _content(client, **GREEDY)


def test_a_schema_is_kept(client: httpx.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"up": {"type": "boolean"}, "level": {"enum": ["low", "high"]},
                       "count": {"type": "integer"}},
        "required": ["up", "level", "count"], "additionalProperties": False,
    }  # fmt: skip
    nested = {"type": "json_schema", "json_schema": {"name": "state", "schema": schema}}
    bare = {"type": "json_schema", "schema": schema}
    for form in (nested, bare):
        for seed in range(3):
            text = _content(client, response_format=form, seed=seed, max_tokens=600)
            found = json.loads(text)
            assert set(found) == {"up", "level", "count"}
            assert isinstance(found["up"], bool)
            assert found["level"] in ("low", "high")
            assert isinstance(found["count"], int)


def test_a_json_object(client: httpx.Client) -> None:
    # This model would write a text without end; made to like `}`, it closes at once.
    body = {"response_format": {"type": "json_object"}, "logit_bias": {str(ord("}")): 400}}
    assert json.loads(_content(client, max_tokens=60, **body)) == {}
    assert not _content(client, max_tokens=20, response_format={"type": "text"}).startswith("{")


def test_developers_and_parts(client: httpx.Client) -> None:
    old = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a\nb"}]
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    new = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": parts}]
    answers = [_chat(client, {"messages": turns, **GREEDY}) for turns in (old, new)]
    assert answers[0]["choices"] == answers[1]["choices"]
    assert answers[0]["usage"] == answers[1]["usage"]


def test_both_names_of_the_limit(client: httpx.Client) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        answer = _chat(client, {"messages": HI, name: 3})
        assert answer["usage"]["completion_tokens"] == 3
        assert answer["choices"][0]["finish_reason"] == "length"


def test_logprobs_of_a_completion_have_its_own_shape(client: httpx.Client) -> None:
    body = {"prompt": "hi", **GREEDY, "logprobs": 2}
    choice = client.post(TEXT, json=body).json()["choices"][0]
    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert all(isinstance(value, float) for value in logprobs["token_logprobs"])
    assert [len(top) for top in logprobs["top_logprobs"]] == [2] * 8
    assert logprobs["text_offset"][0] == 0
    assert logprobs["text_offset"][-1] == len(choice["text"]) - len(logprobs["tokens"][-1])

    chunks = _events(client.post(TEXT, json={**body, "stream": True}).text)
    lists = [c["choices"][0]["logprobs"] for c in chunks if c["choices"][0]["logprobs"]]
    for name in ("tokens", "text_offset"):
        assert [item for one in lists for item in one[name]] == logprobs[name]

    chosen = client.post(TEXT, json={**body, "logprobs": 0}).json()["choices"][0]["logprobs"]
    assert chosen["tokens"] == logprobs["tokens"]
    assert chosen["top_logprobs"] == [{}] * 8


def test_several_answers_in_one_stream(client: httpx.Client) -> None:
    body = {"messages": HI, "max_tokens": 4, "n": 2, "stream": True,
            "stream_options": {"include_usage": True}}  # fmt: skip
    *chunks, usage = _events(client.post(CHAT, json=body).text)
    assert {chunk["choices"][0]["index"] for chunk in chunks} == {0, 1}
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 8
