"""Streams in the accents of several servers come out alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest

from aiconsole.onhost.inferd.engine.events import events
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.engine.refusal import RefusalError
from aiconsole.onhost.inferd.engine.transport import BrokeOffError
from aiconsole.onhost.inferd.engine.usage import counted_once
from aiconsole.onhost.inferd.reply.answer import Answer, Counter

ASK = Ask("text", {})
DONE = b"data: [DONE]\n\n"


class _Response:
    """What is used of a response: its stream."""

    status = 200

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def header(self, name: str) -> str:
        return ""

    def close(self) -> None:
        return

    async def pieces(self) -> bytes:
        await asyncio.sleep(0)
        return self._pieces.pop(0) if self._pieces else b""


def _made(*pieces: bytes) -> AsyncGenerator[list[Chunk], None]:
    return events(_Response(*pieces))


async def _read(
    batches: AsyncGenerator[list[Chunk], None], ask: Ask = ASK
) -> tuple[dict[str, Any], Counter]:
    answer, counter = Answer(ask), Counter(ask, 0.0)
    async for batch in batches:
        answer.add(batch)
        counter.see(batch)
    return orjson.loads(answer.as_json(counter.usage())), counter


def _text(text: str, *, end: str | None = None, usage: Any = ..., index: int = 0) -> bytes:
    fields: dict[str, Any] = {"choices": [{"index": index, "text": text, "finish_reason": end}]}
    if usage is not ...:
        fields["usage"] = usage
    return b"data: " + orjson.dumps(fields) + b"\n\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [_text("a"), _text("b", end="stop"), DONE],
        [(_text("a") + _text("b", end="stop") + DONE)[at : at + 7] for at in range(0, 400, 7)],
        [b'data:{"choices": [{"text": "a", "index": 0}]}\r\n\r\n', b": a comment\n\nevent: x\n",
         b'data: {"choices": [{"text": "b", "finish_reason": "stop"}]}\r\n\r\ndata:[DONE]\r\n\r\n'],
        [_text("a", usage=None), _text("b", end="stop", usage=None), DONE],
    ],
)  # fmt: skip
async def test_what_is_read(pieces: list[bytes]) -> None:
    answer, counter = await _read(_made(*pieces))
    assert answer["choices"][0]["text"] == "ab"
    assert counter.finish_reason == "stop"
    assert counter.completion_tokens > 0


async def test_a_count_with_every_event_is_counted_once() -> None:
    stream = _made(
        _text("a", usage={"prompt_tokens": 7, "completion_tokens": 1}),
        _text("b", usage={"prompt_tokens": 7, "completion_tokens": 2}),
        _text("c", end="stop", usage={"prompt_tokens": 7, "completion_tokens": 3}),
        DONE,
    )
    answer, counter = await _read(counted_once(stream, ASK))
    assert answer["choices"][0]["text"] == "abc"
    assert (counter.prompt_tokens, counter.completion_tokens) == (7, 3)


async def test_a_prompt_with_several_answers_is_counted_once() -> None:
    ask = Ask("text", {"n": 2}, choices=2)
    stream = _made(
        _text("a", end="stop"),
        _text("b", end="stop", index=1),
        b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n',
        DONE,
    )
    answer, counter = await _read(counted_once(stream, ask), ask)
    assert [choice["text"] for choice in answer["choices"]] == ["a", "b"]
    assert (counter.prompt_tokens, counter.completion_tokens) == (7, 2)


async def test_a_count_of_nothing_and_no_count_at_all() -> None:
    none = {"prompt_tokens": 0, "completion_tokens": 0}
    stream = _made(_text("a", usage=none), _text("b", end="stop", usage=none), DONE)
    _, counter = await _read(counted_once(stream, ASK))
    assert counter.completion_tokens == 2
    _, counter = await _read(counted_once(_made(_text("a"), _text("b", end="stop"), DONE), ASK))
    assert counter.completion_tokens == 1  # pieces before the last event


@pytest.mark.parametrize(
    "pieces",
    [[], [_text("a")], [_text("a", end="stop")], [b"data: {oops\n\n"], [b"x" * (9 << 20)]],
)
async def test_an_answer_that_is_not_whole(pieces: list[bytes]) -> None:
    with pytest.raises(BrokeOffError):
        await _read(_made(*pieces))


@pytest.mark.parametrize(
    "event",
    [
        b'error: {"error":{"code":400,"message":"bad grammar"}}\n\n',
        b'data: {"error":{"code":400,"message":"bad grammar"}}\n\n',
        b'data: {"object":"error","code":400,"message":"bad grammar"}\n\n',
    ],
)
async def test_an_error_in_mid_stream(event: bytes) -> None:
    with pytest.raises(RefusalError, match="bad grammar") as refused:
        await _read(_made(_text("a"), event))
    assert refused.value.status == 400
