"""A kept answer on its way to a client: whole as it was kept, or in the pieces of a stream."""

from __future__ import annotations

from typing import Any

import orjson

from aiconsole.onhost.inferd.cache.entry import Entry
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.reply.delivery import Delivery, Whole


async def replay(entry: Entry, ask: Ask, delivery: Delivery, counter: Counter) -> None:
    """Give an answer again, in whatever shape this client wants it."""
    counter.recall(entry.prompt_tokens, entry.completion_tokens, entry.finish_reason)
    if type(delivery) is Whole:  # what is kept is what it would send, to the byte
        await delivery.send(entry.body)
        return
    await delivery.take(as_chunks(entry, ask))
    await delivery.finish(counter)


def as_chunks(entry: Entry, ask: Ask) -> list[Chunk]:
    """The pieces of a stream that comes to the same."""
    whole: dict[str, Any] = orjson.loads(entry.body)
    chat = ask.kind == "chat"
    head = {
        "id": whole["id"],
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": whole["created"],
        "model": whole["model"],
    }
    pieces = [_delta(choice) if chat else _text(choice) for choice in whole["choices"]]
    ends = [_end(choice, chat=chat) for choice in whole["choices"]]
    fields = {**head, "choices": ends, "usage": whole["usage"]}
    return [
        *(Chunk(orjson.dumps({**head, "choices": [piece]}), None) for piece in pieces),
        Chunk(orjson.dumps(fields), fields),
    ]


def _delta(choice: dict[str, Any]) -> dict[str, Any]:
    delta = dict(choice["message"])
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    piece = {"index": choice["index"], "delta": delta, "finish_reason": None}
    return {**piece, "logprobs": choice["logprobs"]} if choice.get("logprobs") else piece


def _text(choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "index": choice["index"],
        "text": choice["text"],
        "logprobs": choice.get("logprobs"),
        "finish_reason": None,
    }


def _end(choice: dict[str, Any], *, chat: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    return {"index": choice["index"], **said, "finish_reason": choice["finish_reason"]}
