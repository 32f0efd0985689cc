"""An answer as messages on a WebSocket: `start`, `delta` after `delta`, `done`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.protocol import Chunk
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.reply.pieces import pieces


class Spoken:
    """Delivery of one request on an open WebSocket."""

    def __init__(
        self,
        say: Callable[[dict[str, Any]], Awaitable[None]],
        exchange: Exchange,
        mark: str | int | None,
        model: str,
    ) -> None:
        """Begin with nothing sent.

        Args:
            say: Sends a message.
            exchange: Of this request.
            mark: The client's own id for it.
            model: What answers.
        """
        self._say = say
        self._exchange = exchange
        self._head: dict[str, Any] = {"id": mark}
        self._model = model
        self._finished: dict[int, str] = {}
        self.begun = False

    async def take(self, batch: Sequence[Chunk]) -> None:
        """Pass on what came together: one message for each choice."""
        if not self.begun:
            await self._start()
        for piece in pieces(batch):
            if piece.finish_reason:
                self._finished[piece.index] = piece.finish_reason
            if piece.text or piece.more:
                delta = {"type": "delta", **self._head, "index": piece.index, "text": piece.text}
                await self._say({**delta, **piece.more})

    async def finish(self, counter: Counter) -> None:
        """The answer is whole."""
        if not self.begun:
            await self._start()
        await self._done(counter.finish_reason, counter.usage())

    async def cancelled(self) -> None:
        """The client wanted no more of it."""
        exchange = self._exchange
        prompt, completion = exchange.prompt_tokens, exchange.completion_tokens
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        await self._done("cancelled", usage)

    async def break_off(self, error: ApiError) -> None:
        """Say why nothing more comes."""
        await self._say(
            {"type": "error", **self._head, "request_id": self._exchange.request_id,
             "status": error.status, **orjson.loads(error.as_json())}
        )  # fmt: skip

    def close(self) -> None:
        """Nothing is held."""

    async def _start(self) -> None:
        self.begun = True
        self._exchange.code = 200
        await self._say(
            {"type": "start", **self._head, "request_id": self._exchange.request_id,
             "model": self._model, "created": int(time.time())}
        )  # fmt: skip

    async def _done(self, finish_reason: str, usage: dict[str, int]) -> None:
        choices = [
            {"index": index, "finish_reason": self._finished[index]}
            for index in sorted(self._finished)
        ]
        await self._say(
            {"type": "done", **self._head, "finish_reason": finish_reason, "choices": choices,
             "usage": usage}
        )  # fmt: skip
