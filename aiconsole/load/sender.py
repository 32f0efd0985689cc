"""Sends the requests of one worker: on their schedule, or each client after its last answer."""

from __future__ import annotations

import asyncio
import math
import time

from aiconsole.load import failure
from aiconsole.load.exchange import Client, Exchange
from aiconsole.load.schedule import due_times, share
from aiconsole.load.spec import Spec
from aiconsole.load.tally import Tally

_PAUSE_S = 0.1
"""Of a client that found nobody: it would only spin."""


class Sender:
    """The load of one worker.

    Attributes:
        tally: What was counted since it was last taken.
        in_flight: Requests at work.
        last_s: When the newest answer ended.
    """

    def __init__(self, client: Client, spec: Spec, start_s: float) -> None:
        self._client, self._spec, self._pace = client, spec, spec.pace
        self._start_s = start_s
        self.from_s = start_s + spec.pace.warmup_s
        self.until_s = self.from_s + spec.pace.duration_s if spec.pace.duration_s else math.inf
        self.tally = Tally()
        self.in_flight = 0
        self.last_s = start_s
        self._measured = 0
        self._number = spec.worker

    async def run(self) -> None:
        """Send all of it, and wait for the last answer. Cancelled, it leaves the rest."""
        await asyncio.sleep(self._start_s - time.monotonic())
        async with asyncio.TaskGroup() as tasks:
            if self._pace.is_open:
                await self._follow_schedule(tasks)
            else:
                for _ in range(self._pace.clients):
                    tasks.create_task(self._be_client())

    def take(self) -> Tally:
        """What was counted since the last time."""
        taken, self.tally = self.tally, Tally()
        return taken

    async def _follow_schedule(self, tasks: asyncio.TaskGroup) -> None:
        pace = self._pace
        times = due_times(pace.rate, pace.arrivals, self._spec.shape.seed)
        for number, offset_s in share(times, self._spec.worker, self._spec.workers):
            due_s = self._start_s + offset_s
            if due_s >= self.until_s or self._has_enough():
                return
            # A turn of the loop even where it is late: answers must be read meanwhile.
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            measured = self._begin(due_s)
            if self.in_flight >= pace.max_in_flight:
                self.tally.not_sent += measured
                continue
            if measured:
                self.tally.late.record(time.monotonic() - due_s)
            tasks.create_task(self._one(number, due_s, measured))

    async def _be_client(self) -> None:
        while (now_s := time.monotonic()) < self.until_s and not self._has_enough():
            number, self._number = self._number, self._number + self._spec.workers
            exchange = await self._one(number, now_s, self._begin(now_s))
            if exchange.failed and exchange.failed.kind == failure.CONNECT:
                await asyncio.sleep(_PAUSE_S)

    async def _one(self, number: int, due_s: float, measured: bool) -> Exchange:
        self.in_flight += 1
        self.tally.sent += measured
        streams = self._spec.streams
        try:
            exchange = await self._client.ask(number)
        except asyncio.CancelledError:
            self.tally.unfinished += measured
            raise
        finally:
            self.in_flight -= 1
        self.last_s = exchange.ended_s
        self.tally.credit(exchange, self.from_s, self.until_s, streams=streams)
        if measured:
            self.tally.count(due_s, exchange, streams=streams)
        return exchange

    def _begin(self, due_s: float) -> bool:
        """True where the request is measured: it is due after the warm-up."""
        measured = due_s >= self.from_s
        self._measured += measured
        return measured

    def _has_enough(self) -> bool:
        return 0 < self._pace.requests <= self._measured
