"""A kept answer as a stream comes to the same answer again."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from aiconsole.onhost.inferd.cache.entry import Entry
from aiconsole.onhost.inferd.cache.replay import as_chunks
from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.reply.answer import Answer, Counter

CALLS = [
    {"id": "a", "type": "function", "function": {"name": "up", "arguments": '{"x":1}'}},
    {"id": "b", "type": "function", "function": {"name": "down", "arguments": "{}"}},
]
LOGPROBS = {"content": [{"token": "hi", "logprob": -0.5}]}
CHOICES: list[tuple[Any, list[dict[str, Any]]]] = [
    ("chat", [{"finish_reason": "stop", "logprobs": None,
               "message": {"role": "assistant", "content": "hi \"there\" \u00fc"}}]),
    ("chat", [{"finish_reason": "tool_calls", "logprobs": None,
               "message": {"role": "assistant", "content": None, "tool_calls": CALLS}}]),
    ("chat", [{"finish_reason": "length", "logprobs": LOGPROBS,
               "message": {"role": "assistant", "content": "a", "reasoning_content": "hm"}}]),
    ("chat", [{"finish_reason": "stop", "logprobs": None,
               "message": {"role": "assistant", "content": ""}}]),
    ("text", [{"finish_reason": "stop", "logprobs": None, "text": "a"},
              {"finish_reason": "length", "logprobs": None, "text": "b"}]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "choices"), CHOICES)
def test_there_and_back(kind: Any, choices: list[dict[str, Any]]) -> None:
    whole = {
        "id": "c1",
        "object": "chat.completion" if kind == "chat" else "text_completion",
        "created": 5,
        "model": "m",
        "choices": [{"index": index, **choice} for index, choice in enumerate(choices)],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }
    ask = Ask(kind, {})
    chunks = as_chunks(Entry(orjson.dumps(whole), 3, 4, "stop"), ask)
    answer, counter = Answer(ask), Counter(ask, 0.0)
    counter.see(chunks)
    answer.add(chunks)
    assert orjson.loads(answer.as_json(counter.usage())) == whole
    objects = {orjson.loads(chunk.data)["object"] for chunk in chunks}
    assert objects == {"chat.completion.chunk" if kind == "chat" else "text_completion"}
