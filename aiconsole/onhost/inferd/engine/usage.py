"""The count of tokens of a server that counts a request as a whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk


async def counted_once(
    batches: AsyncGenerator[list[Chunk], None], ask: Ask
) -> AsyncGenerator[list[Chunk], None]:
    """The same answer, its last count at the end alone.

    Some servers tell the count with every event, each time of all so far, and all of them count a
    prompt once however many answers it gets; what reads a stream here adds counts up, and has
    one prompt for each answer.
    """
    usage: dict[str, Any] | None = None
    pieces = 0
    last = b"{}"
    async with aclosing(batches):
        async for batch in batches:
            for chunk in batch:
                last = chunk.data or last
                pieces += 1
                if chunk.fields is not None and "usage" in chunk.fields:
                    usage = chunk.fields["usage"] or usage
                    chunk.fields = {k: v for k, v in chunk.fields.items() if k != "usage"}
                    # What is passed on is made of the fields, where they hold what is held back.
                    chunk.fields["timings"] = None
            yield batch
    if isinstance(usage, dict):
        prompt = int(usage.get("prompt_tokens") or 0) * max(1, ask.choices)
        # LiteLLM tells of none where it does not know.
        completion = int(usage.get("completion_tokens") or 0) or pieces
        told = {**usage, "prompt_tokens": prompt, "completion_tokens": completion}
        yield [Chunk(last, {"choices": [], "usage": told})]
