"""An engine's stream gathered into one answer, and counted on the way."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk

GAP_BOUNDS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
    5.0, 10.0,
)  # fmt: skip
"""Classes of the time between two tokens."""


_MAX_REASON_CHARS = 32


class Counter:
    """Counts what goes by: tokens, the finish reason, the time of the first token."""

    def __init__(self, ask: Ask, began: float) -> None:
        self._choices = ask.choices
        self._began = began
        self._first = self._last = 0.0
        self._pieces = 0
        self.gaps = [0] * (len(GAP_BOUNDS_S) + 1)
        """Tokens by the time since the one before them, in the classes of `GAP_BOUNDS_S`."""
        self.gaps_s = 0.0
        """All those times together."""
        self._prompt = self._completion = 0
        self.finish_reason = ""

    def see(self, batch: Sequence[Chunk]) -> None:
        """Count a batch."""
        now, before = time.perf_counter(), self._last
        self._last, pieces = now, 0
        if not self._first:
            # An answer at a stroke tells itself how long ago its first token was.
            self._first = now - max(map(_generated_s, batch), default=0.0)
        for chunk in batch:
            if chunk.fields is None:
                pieces += 1
                continue
            for choice in chunk.fields.get("choices") or ():
                if isinstance(reason := choice.get("finish_reason"), str) and reason:
                    self.finish_reason = reason[:_MAX_REASON_CHARS]
            usage = chunk.fields.get("usage")
            if isinstance(usage, dict):
                self._prompt += int(usage.get("prompt_tokens") or 0)
                self._completion += int(usage.get("completion_tokens") or 0)
        if pieces:
            if self._pieces:
                self._count_gap(now - before, pieces)
            self._pieces += pieces

    def _count_gap(self, gap_s: float, tokens: int) -> None:
        """Tokens that came together have shared the time since those before them."""
        self.gaps[bisect_left(GAP_BOUNDS_S, gap_s / tokens)] += tokens
        self.gaps_s += gap_s

    def settle(self) -> None:
        """Nothing more comes. Of an answer at a stroke only the mean between tokens is known."""
        if not self._pieces and self.token_s:
            tokens = self.completion_tokens - 1
            self._count_gap(tokens * self.token_s, tokens)

    def count_inputs(self, tokens: int) -> None:
        """Of a request that is answered without making tokens."""
        self._prompt = tokens * self._choices

    def recall(self, prompt_tokens: int, completion_tokens: int, finish_reason: str) -> None:
        """Take over the counts of an answer that was given before."""
        self._prompt, self._completion = prompt_tokens * self._choices, completion_tokens
        self.finish_reason = finish_reason
        self._first = self._last = time.perf_counter()

    @property
    def ttft_s(self) -> float:
        """Time from the request's arrival to the first token; 0 before it."""
        return self._first - self._began if self._first else 0.0

    @property
    def token_s(self) -> float:
        """Mean time between tokens; 0 with fewer than two."""
        tokens = self.completion_tokens
        return (self._last - self._first) / (tokens - 1) if tokens > 1 else 0.0

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompts; an engine counts a prompt once for each of its answers."""
        return self._prompt // max(1, self._choices)

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answers; of one that was broken off, the pieces seen."""
        return self._completion or self._pieces

    def usage(self) -> dict[str, int]:
        """`usage` of the answer."""
        prompt, completion = self.prompt_tokens, self.completion_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


class Answer:
    """Puts the pieces of each choice together again."""

    def __init__(self, ask: Ask) -> None:
        self._chat = ask.kind == "chat"
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._texts: dict[int, list[str]] = {}

    def add(self, batch: Sequence[Chunk]) -> None:
        """Take a batch in."""
        for chunk in batch:
            fields = chunk.fields if chunk.fields is not None else orjson.loads(chunk.data)
            self._head = self._head or fields
            for piece in fields.get("choices") or ():
                self._add_piece(piece)

    def _add_piece(self, piece: dict[str, Any]) -> None:
        index = piece.get("index", 0)
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = {
                "index": index,
                "finish_reason": None,
                "logprobs": None,
            }
            self._texts[index] = []
        if piece.get("finish_reason"):
            choice["finish_reason"] = piece["finish_reason"]
        if piece.get("logprobs"):
            choice["logprobs"] = _joined(choice["logprobs"], piece["logprobs"])
        if not self._chat:
            self._texts[index].append(piece.get("text") or "")
            return
        delta = piece.get("delta") or {}
        text = delta.get("content")
        if text:
            self._texts[index].append(text)
        if delta.get("reasoning_content"):
            known = choice.get("reasoning_content", "")
            choice["reasoning_content"] = known + delta["reasoning_content"]
        for call in delta.get("tool_calls") or ():
            _add_call(choice.setdefault("tool_calls", {}), call)

    def as_json(self, usage: dict[str, int]) -> bytes:
        """The whole answer."""
        finish = self._chat_choice if self._chat else self._text_choice
        return orjson.dumps(
            {
                "id": self._head.get("id", ""),
                "object": "chat.completion" if self._chat else "text_completion",
                "created": self._head.get("created", int(time.time())),
                "model": self._head.get("model", ""),
                "choices": [finish(self._choices[index]) for index in sorted(self._choices)],
                "usage": usage,
            }
        )

    def _text_choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        return {"text": "".join(self._texts[choice["index"]]), **choice}

    def _chat_choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        text, calls = "".join(self._texts[choice["index"]]), choice.pop("tool_calls", None)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if "reasoning_content" in choice:
            message["reasoning_content"] = choice.pop("reasoning_content")
        if calls:
            message["tool_calls"] = [calls[index] for index in sorted(calls)]
            message["content"] = text or None
        return {**choice, "message": message}


def _generated_s(chunk: Chunk) -> float:
    """Time from the first token to the last, as the engine measured it; 0 in mid-answer."""
    timings = (chunk.fields or {}).get("timings")
    return float(timings.get("predicted_ms") or 0) / 1000 if isinstance(timings, dict) else 0.0


def _joined(known: Any, new: Any) -> Any:
    if not isinstance(known, dict) or not isinstance(new, dict):
        return new
    both = dict(known)
    for key, value in new.items():
        old = both.get(key)
        both[key] = old + value if isinstance(old, list) and isinstance(value, list) else value
    return both


def _add_call(calls: dict[int, dict[str, Any]], piece: dict[str, Any]) -> None:
    """A tool call comes as its name first and its arguments letter by letter."""
    call = calls.setdefault(
        piece.get("index", 0),
        {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
    )
    call["id"] = piece.get("id") or call["id"]
    function = piece.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""
