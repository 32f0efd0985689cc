"""An answer written down for others while it goes to the client who asked first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiconsole.onhost.inferd.cache.entry import Entry
from aiconsole.onhost.inferd.cache.flight import Flight
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.reply.answer import Answer, Counter

_KEPT_REASONS = frozenset({"stop", "length", "tool_calls", "function_call"})
"""Ends that the same request would come to again; a filter of a provider may change its mind."""
_FRAME_FACTOR = 64
"""A piece of text is sent within a frame so many times its size, at most."""


class Recorder:
    """Sees every piece of one answer."""

    def __init__(
        self, ask: Ask, flight: Flight, limit_bytes: int, keep: Callable[[Entry], None]
    ) -> None:
        """Begin.

        Args:
            ask: What is answered.
            flight: Who else waits for it.
            limit_bytes: Of an answer that is kept.
            keep: Called with the answer, if it came to its end and is not too long.
        """
        self._answer = Answer(ask)
        self._flight = flight
        self._limit_bytes = limit_bytes
        self._keep = keep
        self._seen_bytes = 0
        self._too_long = False

    def tap(
        self, take: Callable[[Sequence[Chunk]], Awaitable[None]]
    ) -> Callable[[Sequence[Chunk]], Awaitable[None]]:
        """The same, seen by us."""
        flight = self._flight

        async def seen(batch: Sequence[Chunk]) -> None:
            self._see(batch)
            flight.hold()
            await take(batch)
            flight.go_on()

        return seen

    def finish(self, counter: Counter) -> None:
        """The engine has come to the end of the answer."""
        if self._too_long or counter.finish_reason not in _KEPT_REASONS:
            self._flight.dissolve()
            return
        body = self._answer.as_json(counter.usage())
        entry = Entry(body, counter.prompt_tokens, counter.completion_tokens, counter.finish_reason)
        # Who waits gets it in any case: to compute it once more would make it no shorter.
        self._flight.land(entry)
        if len(body) <= self._limit_bytes:
            self._keep(entry)

    def _see(self, batch: Sequence[Chunk]) -> None:
        if self._too_long:
            return
        self._seen_bytes += sum(len(chunk.data) for chunk in batch)
        self._too_long = self._seen_bytes > _FRAME_FACTOR * self._limit_bytes
        if self._too_long:
            self._flight.dissolve()
        else:
            self._answer.add(batch)
