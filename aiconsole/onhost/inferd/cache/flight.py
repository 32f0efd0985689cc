"""Identical requests at the same time: one computes, the others wait for its answer."""

from __future__ import annotations

import asyncio
import time
from typing import Literal, TypeAlias

from aiconsole.onhost.inferd.cache.entry import Entry

Turn: TypeAlias = "Entry | Literal['lead', 'alone']"
"""The answer; or that it is one's own turn to compute it for all; or just for oneself."""

_PATIENCE_S = 1.0


class Flight:
    """One answer that several wait for; in the table from its begin to its end."""

    __slots__ = ("_flights", "_held_since", "_key", "_turn", "_waiters", "stay")

    def __init__(self, flights: dict[bytes, Flight], key: bytes) -> None:
        self._flights = flights
        self._key = key
        self._waiters: dict[asyncio.Future[Turn], None] = {}
        self._turn: Turn | None = None
        self._held_since = 0.0
        self.stay = False
        """Whether it is in the table until `end`: the answer is there, but not in the store yet."""
        flights[key] = self

    async def join(self) -> Turn:
        """Wait for the answer, or for one's turn to compute it."""
        if self._turn is not None:
            return self._turn
        waiter: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            while not waiter.done():
                await asyncio.wait([waiter], timeout=_PATIENCE_S)
                if not waiter.done() and self._is_held():
                    return "alone"
            return waiter.result()
        except asyncio.CancelledError:
            if waiter.done() and waiter.result() == "lead":
                # The lead was handed over in the very turn in which we were cancelled.
                self.leave()
            raise
        finally:
            self._waiters.pop(waiter, None)

    def land(self, entry: Entry) -> None:
        """Here is the answer; who joins until `end` gets it too."""
        self._tell(entry)

    def dissolve(self) -> None:
        """This answer cannot be shared: everybody computes their own."""
        self._tell("alone")

    def leave(self) -> None:
        """Whoever led is done; without an answer the next one leads, and nobody hears of it."""
        while self._turn is None and self._waiters:
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            if not waiter.done():
                self._held_since = 0.0
                waiter.set_result("lead")
                return
        if not self.stay:
            self.end()

    def end(self) -> None:
        """Nobody can join any more."""
        if self._flights.get(self._key) is self:
            del self._flights[self._key]

    @property
    def landed(self) -> bool:
        """Whether the answer is there."""
        return isinstance(self._turn, Entry)

    def hold(self) -> None:
        """The one who computes waits for their own client."""
        self._held_since = time.monotonic()

    def go_on(self) -> None:
        """Their client took it."""
        self._held_since = 0.0

    def _is_held(self) -> bool:
        """Whether a client that does not read keeps the others from their answer."""
        return bool(self._held_since) and time.monotonic() - self._held_since >= _PATIENCE_S

    def _tell(self, turn: Turn) -> None:
        self._turn = turn
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(turn)
        self._waiters.clear()
