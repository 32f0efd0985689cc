"""How an answer reaches its client: as a whole, or as events while it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.gate import Send
from aiconsole.onhost.inferd.reply.answer import Answer, Counter
from aiconsole.onhost.inferd.reply.sse import EventStream, event

_DONE = event(b"[DONE]")


class Delivery(Protocol):
    """What a request at work hands its answer to; one for each request."""

    @property
    def begun(self) -> bool:
        """Whether something has gone out, so that a status can no longer be chosen."""

    async def take(self, batch: Sequence[Chunk]) -> None:
        """The next pieces."""

    async def finish(self, counter: Counter) -> None:
        """The answer is whole."""

    async def break_off(self, error: ApiError) -> None:
        """After something has gone out: say why nothing more comes."""

    def close(self) -> None:
        """Called on every way out."""


class Whole:
    """One JSON document at the end."""

    def __init__(self, send: Send, ask: Ask) -> None:
        self._send = send
        self._answer = Answer(ask)
        self.begun = False

    async def take(self, batch: Sequence[Chunk]) -> None:
        """Gather."""
        self._answer.add(batch)

    async def finish(self, counter: Counter) -> None:
        """Send it all."""
        await self.send(self._answer.as_json(counter.usage()))

    async def send(self, data: bytes) -> None:
        """Send a document that is whole."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(data)).encode()),
        ]
        self.begun = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def break_off(self, error: ApiError) -> None:
        """A document cannot be broken off halfway: the connection is."""

    def close(self) -> None:
        """Nothing is held."""


class Streamed:
    """Server-sent events, in OpenAI's shape."""

    def __init__(self, send: Send, ask: Ask) -> None:
        self._events = EventStream(send)
        self._include_usage = ask.include_usage
        self._last = b"{}"

    @property
    def begun(self) -> bool:
        """Whether the head is out."""
        return self._events.opened

    async def take(self, batch: Sequence[Chunk]) -> None:
        """Pass on what came together as one write."""
        self._last = batch[-1].data
        if text := b"".join(map(_framed, batch)):
            await self._events.write(text)

    async def finish(self, counter: Counter) -> None:
        """The count of tokens where it is wanted, and the mark of the end."""
        ending = _DONE
        if self._include_usage:
            ending = event(_usage_chunk(self._last, counter.usage())) + _DONE
        await self._events.finish(ending)

    async def break_off(self, error: ApiError) -> None:
        """An error as the last event."""
        await self._events.last_word(event(error.as_json()))

    def close(self) -> None:
        """No more comments."""
        self._events.close()


def _framed(chunk: Chunk) -> bytes:
    """A chunk as an event; counts of tokens are held back, they come once, at the end."""
    fields = chunk.fields
    if fields is None or ("usage" not in fields and "timings" not in fields):
        return event(chunk.data)
    if not fields.get("choices"):
        return b""
    kept = {key: value for key, value in fields.items() if key not in ("usage", "timings")}
    return event(orjson.dumps(kept))


def _usage_chunk(last: bytes, usage: dict[str, int]) -> bytes:
    """The last event before the end, in the likeness of the one before it."""
    known: dict[str, Any] = orjson.loads(last)
    head = {key: known[key] for key in ("id", "object", "created", "model") if key in known}
    return orjson.dumps({**head, "choices": [], "usage": usage})
