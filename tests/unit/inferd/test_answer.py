"""Chunks put together again, and counted."""

from __future__ import annotations

from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.reply.answer import Answer, Counter


def _chunk(fields: dict[str, Any], *, plain: bool = False) -> Chunk:
    return Chunk(orjson.dumps(fields), None if plain else fields)


def _delta(index: int = 0, finish: str | None = None, **delta: Any) -> Chunk:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return _chunk({"id": "c1", "created": 5, "model": "m", "choices": [choice]}, plain=not finish)


def _whole(chunks: list[Chunk], kind: Any = "chat", choices: int = 1) -> dict[str, Any]:
    ask = Ask(kind, {}, choices=choices)
    answer, counter = Answer(ask), Counter(ask, 0.0)
    for chunk in chunks:
        counter.see([chunk])
        answer.add([chunk])
    found: dict[str, Any] = orjson.loads(answer.as_json(counter.usage()))
    return found


def test_tool_calls_come_letter_by_letter() -> None:
    def call(index: int, **piece: Any) -> Chunk:
        return _delta(tool_calls=[{"index": index, **piece}])

    found = _whole(
        [
            _delta(role="assistant", content=None),
            call(0, id="a", type="function", function={"name": "up", "arguments": ""}),
            call(0, function={"arguments": '{"host":'}),
            call(1, id="b", type="function", function={"name": "down", "arguments": "{}"}),
            call(0, function={"arguments": '"web1"}'}),
            _delta(finish="tool_calls"),
        ]
    )
    message = found["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "up", "arguments": '{"host":"web1"}'}},
        {"id": "b", "type": "function", "function": {"name": "down", "arguments": "{}"}},
    ]
    assert found["choices"][0]["finish_reason"] == "tool_calls"


def test_choices_are_kept_apart_and_reasoning_too() -> None:
    found = _whole(
        [
            _delta(1, reasoning_content="hm"),
            _delta(0, content="a"),
            _delta(1, content="x"),
            _delta(1, reasoning_content="m"),
            _delta(0, content="b"),
            _delta(0, "stop"),
            _delta(1, "length"),
        ],
        choices=2,
    )
    first, second = found["choices"]
    assert (first["message"]["content"], first["finish_reason"]) == ("ab", "stop")
    assert second["message"] == {"role": "assistant", "content": "x", "reasoning_content": "hmm"}
    assert found["id"] == "c1"


def test_logprobs_are_joined() -> None:
    def text(piece: str, finish: str | None = None) -> Chunk:
        logprobs = {"content": [{"token": piece}]} if piece else None
        choice = {"index": 0, "text": piece, "logprobs": logprobs, "finish_reason": finish}
        return _chunk({"choices": [choice]}, plain=not finish)

    choice = _whole([text("a"), text("b"), text("", "stop")], "text")["choices"][0]
    assert choice["text"] == "ab"
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}


def test_a_prompt_is_counted_once_for_all_its_answers() -> None:
    usage = {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}
    found = _whole([_chunk({"choices": [], "usage": usage})] * 3, choices=3)
    assert found["usage"] == {"prompt_tokens": 6, "completion_tokens": 12, "total_tokens": 18}


def test_without_usage_the_pieces_are_counted() -> None:
    assert _whole([_delta(content="a"), _delta(content="b")])["usage"]["completion_tokens"] == 2
