"""`/v1/chat/completions` and `/v1/completions`: from the client's JSON to the last token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TypeAlias

import orjson

from aiconsole.onhost.inferd import ask as asking
from aiconsole.onhost.inferd import body
from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.answer import Answer, Counter
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk, Kind
from aiconsole.onhost.inferd.errors import ApiError, timed_out, unavailable
from aiconsole.onhost.inferd.exchange import Exchange, Scope
from aiconsole.onhost.inferd.gate import Receive, Send
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.lifeline import CutReason, Lifeline
from aiconsole.onhost.inferd.sse import EventStream, event

Batches: TypeAlias = AsyncGenerator[list[Chunk], None]

_ROUTES: dict[Kind, str] = {"chat": "chat", "text": "completions"}
_DONE = event(b"[DONE]")
_REJECTIONS = {
    "queue_full": "queue",
    "draining": "drain",
    "first_token_timeout": "timeout",
    "total_timeout": "timeout",
}


class Completions:
    """One of the two routes, as an ASGI application."""

    def __init__(self, gateway: Gateway, kind: Kind) -> None:
        self._gateway = gateway
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = exchanges.of(scope)
        exchange.route = _ROUTES[self._kind]
        gateway, settings = self._gateway, self._gateway.settings
        given, size_bytes = await body.read(scope, receive, settings.limits.body_bytes)
        ask = asking.parse(self._kind, given, settings.model.name, gateway.engine.context_tokens)
        ask = replace(ask, size_bytes=size_bytes)
        exchange.model, exchange.stream = settings.model.name, ask.stream
        await _Serving(gateway, ask, exchange, send).run(receive)


class _Serving:
    """One request at work."""

    def __init__(self, gateway: Gateway, ask: Ask, exchange: Exchange, send: Send) -> None:
        self._gateway = gateway
        self._ask = ask
        self._exchange = exchange
        self._send = send
        self._line = Lifeline()
        self._counter = Counter(ask, exchange.began)
        self._events = EventStream(send) if ask.stream else None
        limits = gateway.settings.limits
        self._line.after(limits.total_timeout_s, "total-timeout")
        self._first = self._line.after(limits.first_token_timeout_s, "first-token-timeout")

    async def run(self, receive: Receive) -> None:
        """Wait for a place, compute, answer; every way out gives the place back."""
        line, lifelines = self._line, self._gateway.lifelines
        watcher = asyncio.get_running_loop().create_task(_watch(receive, line))
        lifelines.add(line)
        try:
            await self._in_turn()
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
            watcher.cancel()
            if self._events is not None:
                self._events.close()
            self._note()

    async def _in_turn(self) -> None:
        admission, exchange = self._gateway.admission, self._exchange
        await admission.enter()
        entered = time.perf_counter()
        exchange.queue_s = entered - exchange.began
        try:
            async with aclosing(self._gateway.engine.stream(self._ask)) as batches:
                if self._events is not None:
                    await self._pass_on(batches, self._events)
                else:
                    await self._gather(batches)
        finally:
            admission.leave(time.perf_counter() - entered)

    async def _gather(self, batches: Batches) -> None:
        answer, counter = Answer(self._ask), self._counter
        async for batch in batches:
            self._first.cancel()
            counter.see(batch)
            answer.add(batch)
        data = answer.as_json(counter.usage())
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(data)).encode()),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def _pass_on(self, batches: Batches, events: EventStream) -> None:
        counter, last = self._counter, b"{}"
        async for batch in batches:
            self._first.cancel()
            counter.see(batch)
            last = batch[-1].data
            if text := b"".join(map(_framed, batch)):
                await events.write(text)
        ending = _DONE
        if self._ask.include_usage:
            ending = event(_usage_chunk(last, counter.usage())) + _DONE
        await events.finish(ending)

    async def _broken(self, error: ApiError, cut: CutReason | None = None) -> None:
        """Tell the client, in the way that is still open."""
        exchange = self._exchange
        exchange.reason = error.code
        if cut == "client-gone":
            exchange.code = 499
            return
        if reason := _REJECTIONS.get(error.code):
            self._gateway.metrics.rejected.labels(reason).inc()
        if not exchange.code:
            raise error
        exchange.cut = True
        if self._events is not None:
            await self._events.last_word(event(error.as_json()))

    def _note(self) -> None:
        """Put down what the answer came to."""
        exchange, counter = self._exchange, self._counter
        exchange.prompt_tokens = counter.prompt_tokens
        exchange.completion_tokens = counter.completion_tokens
        exchange.finish_reason = counter.finish_reason
        exchange.ttft_s = counter.ttft_s
        if counter.token_s:
            self._gateway.metrics.token_s.observe(counter.token_s)


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
    if reason == "total-timeout":
        return timed_out(
            f"The answer took longer than {limits.total_timeout_s:g} s.", code="total_timeout"
        )
    if reason == "drain":
        return unavailable("This server is shutting down.", code="draining")
    return ApiError(499, "The client has gone.", code="client_gone")


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
    known = orjson.loads(last)
    head = {key: known[key] for key in ("id", "object", "created", "model") if key in known}
    return orjson.dumps({**head, "choices": [], "usage": usage})
