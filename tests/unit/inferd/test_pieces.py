"""Events reduced to what they add."""

from __future__ import annotations

from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.reply.logprobs import TokenLists
from aiconsole.onhost.inferd.reply.pieces import pieces


def _chunk(*choices: dict[str, Any], plain: bool = True) -> Chunk:
    fields = {"choices": list(choices)}
    return Chunk(orjson.dumps(fields), None if plain else fields)


def test_text_of_one_choice_comes_together() -> None:
    found = pieces(
        [
            _chunk({"index": 0, "delta": {"role": "assistant", "content": None}}),
            _chunk({"index": 0, "delta": {"content": "Hel"}}),
            _chunk({"index": 0, "delta": {"content": "lo"}}),
            _chunk({"index": 0, "delta": {}, "finish_reason": "stop"}, plain=False),
        ]
    )
    assert [(p.index, p.text, p.finish_reason) for p in found] == [(0, "Hello", "stop")]


def test_choices_and_calls_stay_apart() -> None:
    call = [{"index": 0, "function": {"arguments": "{"}}]
    found = pieces(
        [
            _chunk({"index": 0, "text": "a"}),
            _chunk({"index": 1, "text": "b"}),
            _chunk({"index": 1, "text": "c"}),
            _chunk({"index": 1, "delta": {"tool_calls": call}}),
            _chunk({"index": 1, "delta": {"tool_calls": call}}),
            _chunk({"index": 1, "delta": {"content": "d"}}),
        ]
    )
    assert [(p.index, p.text, p.more) for p in found] == [
        (0, "a", {}), (1, "bc", {}), (1, "", {"tool_calls": call}), (1, "", {"tool_calls": call}),
        (1, "d", {}),
    ]  # fmt: skip


def test_a_whole_answer_and_one_without_choices() -> None:
    whole = Chunk(b"", {"choices": [{"delta": {"role": "assistant", "content": "all"}}]})
    assert [piece.text for piece in pieces([whole, Chunk(b"{}", None)])] == ["all"]


class _Kept:
    """Keeps what it is handed."""

    begun = False

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    async def take(self, batch: Any) -> None:
        self.chunks += batch

    async def finish(self, counter: Counter) -> None:
        self.begun = True

    async def break_off(self, error: ApiError) -> None:
        self.begun = True

    def close(self) -> None:
        return


def _token(text: str, *others: str) -> dict[str, Any]:
    top = [{"token": other, "logprob": -2.0} for other in others]
    return {"token": text, "logprob": -1.0, "top_logprobs": top}


async def test_logprobs_of_a_completion_are_lists() -> None:
    kept = _Kept()
    lists = TokenLists(kept, wanted=1)
    one = {"index": 0, "text": "ab", "logprobs": {"content": [_token("ab", "x", "y")]}}
    two = {"index": 0, "text": "c", "logprobs": {"content": [_token("c", "z")]}}
    end = {"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}
    await lists.take([_chunk(one), _chunk(two, plain=False), _chunk(end, plain=False)])
    found = [orjson.loads(chunk.data)["choices"][0]["logprobs"] for chunk in kept.chunks]
    assert found == [
        {"tokens": ["ab"], "token_logprobs": [-1.0], "top_logprobs": [{"x": -2.0}],
         "text_offset": [0]},
        {"tokens": ["c"], "token_logprobs": [-1.0], "top_logprobs": [{"z": -2.0}],
         "text_offset": [2]},
        None,
    ]  # fmt: skip
    assert [chunk.fields is None for chunk in kept.chunks] == [True, False, False]
    await lists.finish(Counter(Ask("text", {}), 0.0))
    assert lists.begun


async def test_logprobs_that_are_lists_already_stay_so() -> None:
    kept = _Kept()
    known = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": [{}], "text_offset": [0]}
    await TokenLists(kept, wanted=1).take([_chunk({"index": 0, "logprobs": known})])
    assert orjson.loads(kept.chunks[0].data)["choices"][0]["logprobs"] == known
