"""An answer in the plain shape of `/v1/generate`: text, and why it ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.gate import Send
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.reply.delivery import Whole
from aiconsole.onhost.inferd.reply.pieces import pieces
from aiconsole.onhost.inferd.reply.sse import EventStream, event


class Generated(Whole):
    """One JSON document at the end."""

    def __init__(self, send: Send, ask: Ask, exchange: Exchange) -> None:
        super().__init__(send, ask)
        self._exchange = exchange
        self._texts: list[str] = []

    async def take(self, batch: Sequence[Chunk]) -> None:
        """Gather."""
        self._texts += [piece.text for piece in pieces(batch)]

    async def finish(self, counter: Counter) -> None:
        """Send it all."""
        answer: dict[str, Any] = {
            "id": self._exchange.request_id,
            "object": "generation",
            "created": int(time.time()),
            "model": self._exchange.model,
            "text": "".join(self._texts),
            "finish_reason": counter.finish_reason,
            "usage": counter.usage(),
        }
        await self.send(orjson.dumps(answer))


class GeneratedStream:
    """Events: `{"text"}` for each piece, then `{"finish_reason", "usage"}` and `[DONE]`."""

    def __init__(self, send: Send) -> None:
        self._events = EventStream(send)

    @property
    def begun(self) -> bool:
        """Whether the head is out."""
        return self._events.opened

    async def take(self, batch: Sequence[Chunk]) -> None:
        """Pass on what came together as one event."""
        if text := "".join([piece.text for piece in pieces(batch)]):
            await self._events.write(event(orjson.dumps({"text": text})))

    async def finish(self, counter: Counter) -> None:
        """Why it ended, and the count of tokens."""
        ending = {"finish_reason": counter.finish_reason, "usage": counter.usage()}
        await self._events.finish(event(orjson.dumps(ending)) + event(b"[DONE]"))

    async def break_off(self, error: ApiError) -> None:
        """An error as the last event."""
        await self._events.last_word(event(error.as_json()))

    def close(self) -> None:
        """No more comments."""
        self._events.close()
