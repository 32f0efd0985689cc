"""A client's JSON made into what the engine is asked."""

from __future__ import annotations

from typing import Any

import pytest

from aiconsole.onhost.inferd.engine.protocol import Kind
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.request import ask as asking
from aiconsole.onhost.inferd.request import plain
from aiconsole.onhost.inferd.request.served import Served

HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "g"}}


def _body(kind: Kind, **given: Any) -> dict[str, Any]:
    usual = {"messages": HI} if kind == "chat" else {"prompt": "hi"}
    return asking.parse(kind, {**usual, **given}, Served("m", ["alias"]), 100).body


def test_the_unknown_stays_out() -> None:
    assert _body("text", user="u", id_slot=3, n_predict=-1, echo=False, model="alias") == {
        "model": "m", "prompt": "hi", "max_tokens": 100,
    }  # fmt: skip


def test_what_the_client_gave_is_left_as_it_was() -> None:
    given = {"messages": [{"role": "developer", "content": [{"type": "text", "text": "a"}]}]}
    body = asking.parse("chat", given, Served("m"), 100).body
    assert body["messages"] == [{"role": "system", "content": "a"}]
    assert given["messages"][0]["role"] == "developer"


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, ([TOOL, OTHER], "auto")),
        ("auto", ([TOOL, OTHER], "auto")),
        ("required", ([TOOL, OTHER], "required")),
        ({"type": "function", "function": {"name": "g"}}, ([OTHER], "required")),
        ("none", (None, None)),
    ],
)
def test_tool_choice(choice: Any, sent: tuple[Any, Any]) -> None:
    body = _body("chat", tools=[TOOL, OTHER], tool_choice=choice)
    assert (body.get("tools"), body.get("tool_choice")) == sent


def test_a_choice_without_tools_is_nothing() -> None:
    assert "tool_choice" not in _body("chat", tool_choice="auto")
    assert "tools" not in _body("chat", tools=[])


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "json_object"}),
        ({"type": "json_object", "schema": {"a": 1}}, {"a": 1}),
        ({"type": "json_object", "value": {"a": 1}}, {"a": 1}),
        ({"type": "json", "value": {"a": 1}}, {"a": 1}),
        ({"type": "json_schema", "schema": {"a": 1}}, {"a": 1}),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}}}, {"a": 1}),
    ],
)
def test_forms_of_an_answer(form: Any, sent: Any) -> None:
    found: Any = _body("chat", response_format=form).get("response_format")
    if sent is None or "type" in sent:
        assert found == sent
    else:
        assert found["type"] == "json_schema"
        assert found["json_schema"]["schema"] == sent


def test_logprobs_ask_for_no_more_than_wanted() -> None:
    assert _body("chat", logprobs=True)["top_logprobs"] == 1
    assert _body("chat", logprobs=True, top_logprobs=4)["top_logprobs"] == 4
    assert _body("text", logprobs=0)["logprobs"] == 1
    assert "logprobs" not in _body("text")


def test_best_of_as_many_as_are_given_back_chooses_nothing() -> None:
    assert _body("text", n=2, best_of=2)["n"] == 2
    with pytest.raises(ApiError):
        _body("text", n=2, best_of=3)


def test_which_of_the_two_it_is() -> None:
    assert asking.kind_of({"messages": HI}) == "chat"
    assert asking.kind_of({"prompt": "", "messages": None}) == "text"
    for given in ({}, {"messages": HI, "prompt": "a"}):
        with pytest.raises(ApiError):
            asking.kind_of(given)


def test_the_plain_request_in_openais_fields() -> None:
    nested = {
        "max_new_tokens": 3, "repetition_penalty": 1.5, "stop_sequences": ["x"], "unheard_of": 1,
    }  # fmt: skip
    given = {"inputs": "a", "max_tokens": 5, "n": 9, "tools": [TOOL], "parameters": nested}
    kind, body = plain.as_openai("generate", given)
    assert kind == "text"
    assert body == {"prompt": "a", "max_tokens": 5, "repeat_penalty": 1.5, "stop": ["x"]}
    kind, body = plain.as_openai("inference", {"input": "a", "response_format": {"type": "text"}})
    assert kind == "chat"
    assert body == {
        "messages": [{"role": "user", "content": "a"}], "response_format": {"type": "text"},
    }  # fmt: skip
