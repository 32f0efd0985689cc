"""Log probabilities of `/v1/completions`, in the shape that OpenAI gives them there.

llama.cpp sends those of a chat on both paths: one object for each token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.protocol import Chunk
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.reply.delivery import Delivery


class TokenLists:
    """A delivery in front of another one."""

    def __init__(self, inner: Delivery, wanted: int) -> None:
        """Wrap.

        Args:
            inner: What the answer goes to.
            wanted: Alternatives for each token; 0 is the chosen one alone.
        """
        self._inner = inner
        self._wanted = wanted
        self._offsets: dict[int, int] = {}

    @property
    def begun(self) -> bool:
        """Whether something has gone out."""
        return self._inner.begun

    async def take(self, batch: Sequence[Chunk]) -> None:
        """Pass the pieces on in the other shape."""
        await self._inner.take([self._reshaped(chunk) for chunk in batch])

    async def finish(self, counter: Counter) -> None:
        """The answer is whole."""
        await self._inner.finish(counter)

    async def break_off(self, error: ApiError) -> None:
        """Nothing more comes."""
        await self._inner.break_off(error)

    def close(self) -> None:
        """Called on every way out."""
        self._inner.close()

    def _reshaped(self, chunk: Chunk) -> Chunk:
        fields = chunk.fields if chunk.fields is not None else orjson.loads(chunk.data)
        for choice in fields.get("choices") or ():
            logprobs = choice.get("logprobs")
            if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
                choice["logprobs"] = self._lists(choice.get("index", 0), logprobs["content"])
        if not chunk.data:
            return Chunk(b"", fields)
        return Chunk(orjson.dumps(fields), None if chunk.fields is None else fields)

    def _lists(self, index: int, tokens: list[dict[str, Any]]) -> dict[str, Any]:
        offsets, at = [], self._offsets.get(index, 0)
        for token in tokens:
            offsets.append(at)
            at += len(token["token"])
        self._offsets[index] = at
        return {
            "tokens": [token["token"] for token in tokens],
            "token_logprobs": [token["logprob"] for token in tokens],
            "top_logprobs": [
                {
                    other["token"]: other["logprob"]
                    for other in token["top_logprobs"][: self._wanted]
                }
                for token in tokens
            ],
            "text_offset": offsets,
        }
