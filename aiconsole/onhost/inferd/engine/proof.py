"""The only proof that counts: a server is asked for a token, and it comes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Literal, TypeAlias

from aiconsole.onhost.inferd.engine.pace import Pace
from aiconsole.onhost.inferd.engine.protocol import Ask, Kind
from aiconsole.onhost.inferd.engine.refusal import RefusalError
from aiconsole.onhost.inferd.engine.upstream import OpenAIUpstream
from aiconsole.onhost.inferd.errors import unavailable

Way: TypeAlias = Literal["text", "chat", "embedding"]

ANY_WAY: Sequence[Way] = ("text", "chat", "embedding")
_NOT_IN_THIS_WAY = frozenset({400, 404, 405, 415, 422, 501})
_HELLO = "Hello"


async def prove(
    upstream: OpenAIUpstream, model: str, pace: Pace, ways: Sequence[Way] = ANY_WAY
) -> Way:
    """Have it compute something: a completion, or where it has none to give an embedding.

    Returns:
        The first of `ways` in which it did; there is no need to ask in the others again.

    Raises:
        ApiError: It does not; of several refusals the first, which is of what it is there for.
    """
    first: RefusalError | None = None
    for way in ways:
        try:
            if way == "embedding":
                await upstream.embed({"model": model, "input": _HELLO})
            else:
                await _complete(upstream, model, pace, way)
        except RefusalError as refused:
            if refused.said is None or refused.said.status not in _NOT_IN_THIS_WAY:
                raise (first or refused) from None
            first = first or refused
        else:
            return way
    assert first is not None
    raise first


async def _complete(upstream: OpenAIUpstream, model: str, pace: Pace, kind: Kind) -> None:
    asked = {"prompt": _HELLO} if kind == "text" else {"messages": _messages()}
    ask = Ask(kind, {"model": model, **asked, "max_tokens": 1})
    finished = False
    async with aclosing(upstream.stream(ask)) as batches:
        async for batch in batches:
            pace.learn(batch)
            finished = finished or any(chunk.fields for chunk in batch)
    if not finished:
        raise unavailable("the completion came back without an end", code="engine_error")


def _messages() -> list[dict[str, str]]:
    return [{"role": "user", "content": _HELLO}]
