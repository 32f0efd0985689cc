"""An engine's events reduced to what they add: text, and the rest of a choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.protocol import Chunk

_PASSED_ON = ("tool_calls", "reasoning_content")


@dataclass(slots=True)
class Piece:
    """What came together for one choice."""

    index: int
    text: str = ""
    finish_reason: str = ""
    """Empty in mid-answer."""
    more: dict[str, Any] = field(default_factory=dict)
    """`tool_calls`, `reasoning_content`, `logprobs`, as the engine sent them."""


def pieces(batch: Sequence[Chunk]) -> list[Piece]:
    """One piece for each choice of a batch; a chat's and a completion's alike.

    Of what is not text only the last event's is kept with the text before it: two events with
    tool calls make two pieces.
    """
    found: list[Piece] = []
    for chunk in batch:
        fields = chunk.fields if chunk.fields is not None else orjson.loads(chunk.data)
        for choice in fields.get("choices") or ():
            _add(found, choice)
    return found


def _add(found: list[Piece], choice: dict[str, Any]) -> None:
    delta = choice.get("delta") or choice
    more = {name: delta[name] for name in _PASSED_ON if delta.get(name)}
    if choice.get("logprobs"):
        more["logprobs"] = choice["logprobs"]
    index = choice.get("index", 0)
    text = delta.get("content") or delta.get("text") or ""
    last = found[-1] if found else None
    if last is None or last.index != index or more or last.more:
        last = Piece(index, more=more)
        found.append(last)
    last.text += text
    last.finish_reason = choice.get("finish_reason") or last.finish_reason
