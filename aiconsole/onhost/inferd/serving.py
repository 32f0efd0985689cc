"""One request at work: a place, the engine, the client; and every way in which it can end."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from aiconsole.onhost.inferd.audit.prompt import note_prompt
from aiconsole.onhost.inferd.cache.entry import Entry
from aiconsole.onhost.inferd.cache.recorder import Recorder
from aiconsole.onhost.inferd.cache.replay import replay
from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.errors import ApiError, timed_out, unavailable
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.gate import Receive
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.lifeline import CutReason, Lifeline
from aiconsole.onhost.inferd.limits.charge import FREE
from aiconsole.onhost.inferd.limits.whose import whose
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.reply.delivery import Delivery

_REJECTIONS = {
    "queue_full": "queue",
    "draining": "drain",
    "first_token_timeout": "timeout",
    "between_tokens_timeout": "timeout",
    "total_timeout": "timeout",
}


class Serving:
    """Made in the request's own task, run once."""

    def __init__(self, gateway: Gateway, ask: Ask, exchange: Exchange, delivery: Delivery) -> None:
        self._gateway = gateway
        self._ask = ask
        self._exchange = exchange
        self._delivery = delivery
        self._line = Lifeline()
        self._watcher: asyncio.Task[None] | None = None
        self._counter = Counter(ask, exchange.began)
        self._charge = FREE
        prompt = ask.body.get("messages") or ask.body.get("prompt")
        note_prompt(exchange, prompt, gateway.audit.wants)
        limits = gateway.settings.limits
        self._line.after(limits.total_timeout_s, "total-timeout")
        self._first = self._line.after(limits.first_token_timeout_s, "first-token-timeout")
        self._line.limit_pauses(limits.between_tokens_timeout_s)

    async def run(self, receive: Receive) -> None:
        """Compute and answer; every way out gives back what was taken.

        Raises:
            ApiError: It ended before anything went out; the caller answers with it.
        """
        line, lifelines = self._line, self._gateway.lifelines
        # What is answered within this turn of the loop, from the cache, needs no watcher.
        start = asyncio.get_running_loop().call_soon(self._watch, receive)
        lifelines.add(line)
        try:
            await self._answer()
        except asyncio.CancelledError:
            if line.reason is None:
                raise
            line.absorb()
            line.close()
            await self._broken(_why(line.reason, self._gateway), line.reason)
        except ApiError as error:
            line.close()
            await self._broken(error)
        finally:
            line.close()
            lifelines.discard(line)
            start.cancel()
            if self._watcher is not None:
                self._watcher.cancel()
            self._delivery.close()
            self._note()

    def _watch(self, receive: Receive) -> None:
        self._watcher = asyncio.get_running_loop().create_task(_watch(receive, self._line))

    async def _answer(self) -> None:
        """From the cache, or from the queue to the last token."""
        await self._gateway.cache.answer(
            self._ask, self._exchange, self._answer_again, self._answer_anew
        )

    async def _answer_again(self, entry: Entry) -> None:
        self._first.cancel()
        await replay(entry, self._ask, self._delivery, self._counter)

    async def _answer_anew(self, recorder: Recorder | None) -> None:
        admission, exchange = self._gateway.admission, self._exchange
        self._charge = self._gateway.meter.charge(exchange, self._ask)
        await admission.enter(whose(exchange))
        entered = time.perf_counter()
        exchange.queue_s = entered - exchange.began
        try:
            await self._compute(recorder)
        finally:
            admission.leave(time.perf_counter() - entered)

    async def _compute(self, recorder: Recorder | None) -> None:
        delivery, counter, line = self._delivery, self._counter, self._line
        take = recorder.tap(delivery.take) if recorder else delivery.take
        async with aclosing(self._gateway.engine.stream(self._ask)) as batches:
            async for batch in batches:
                self._first.cancel()
                line.rest()
                counter.see(batch)
                await take(batch)
                line.expect()
        line.rest()
        if recorder:
            recorder.finish(counter)
        await delivery.finish(counter)

    async def _broken(self, error: ApiError, cut: CutReason | None = None) -> None:
        """Tell the client, in the way that is still open."""
        exchange = self._exchange
        exchange.reason = error.code
        if cut == "client-gone":
            exchange.code = 499
            return
        if reason := _REJECTIONS.get(error.code):
            self._gateway.metrics.rejected.labels(reason).inc()
        if not self._delivery.begun:
            raise error
        exchange.cut = True
        await self._delivery.break_off(error)

    def _note(self) -> None:
        """Put down what the answer came to."""
        exchange, counter = self._exchange, self._counter
        self._gateway.meter.settle(exchange, self._charge, counter)
        exchange.prompt_tokens = counter.prompt_tokens
        exchange.completion_tokens = counter.completion_tokens
        exchange.finish_reason = counter.finish_reason
        exchange.ttft_s = counter.ttft_s
        counter.settle()
        self._gateway.metrics.token_s.add(counter.gaps, counter.gaps_s)


async def _watch(receive: Receive, line: Lifeline) -> None:
    """Cut the line when the client leaves; its request has been read, so nothing else comes."""
    while (await receive())["type"] != "http.disconnect":
        pass
    line.cut("client-gone")


def _why(reason: CutReason, gateway: Gateway) -> ApiError:
    limits = gateway.settings.limits
    if reason == "first-token-timeout":
        limit_s = limits.first_token_timeout_s
        return timed_out(f"No first token within {limit_s:g} s.", code="first_token_timeout")
    if reason == "between-tokens-timeout":
        pause_s = limits.between_tokens_timeout_s
        return timed_out(f"No token for {pause_s:g} s.", code="between_tokens_timeout")
    if reason == "total-timeout":
        return timed_out(
            f"The answer took longer than {limits.total_timeout_s:g} s.", code="total_timeout"
        )
    if reason == "drain":
        return unavailable("This server is shutting down.", code="draining")
    return ApiError(499, "The client has gone.", code="client_gone")
