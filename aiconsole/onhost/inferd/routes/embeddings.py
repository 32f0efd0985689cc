"""`/v1/embeddings`: texts in, vectors out."""

from __future__ import annotations

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.cache.recorder import Recorder
from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.exchange import Exchange, Scope
from aiconsole.onhost.inferd.gate import Receive, Send
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.reply.delivery import Whole
from aiconsole.onhost.inferd.request import body
from aiconsole.onhost.inferd.request.embedding import Embedding
from aiconsole.onhost.inferd.serving import Serving


class Embeddings:
    """The route, as an ASGI application."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = exchanges.of(scope)
        exchange.route = "embeddings"
        gateway = self._gateway
        given, size_bytes = await body.read(scope, receive, gateway.settings.limits.body_bytes)
        sizes = gateway.settings.engine.kind != "llama"
        models = gateway.models.seen_by(exchange.grant)
        embedding = Embedding(given, models, sizes=sizes)
        exchange.model = models.name
        ask = Ask("text", embedding.asked, size_bytes=size_bytes)
        await Embedded(gateway, ask, exchange, Whole(send, ask), embedding).run(receive)


class Embedded(Serving):
    """A request for embeddings at work: the same place, limits and ends as any other."""

    def __init__(
        self,
        gateway: Gateway,
        ask: Ask,
        exchange: Exchange,
        delivery: Whole,
        embedding: Embedding,
    ) -> None:
        super().__init__(gateway, ask, exchange, delivery)
        self._whole = delivery
        self._embedding = embedding

    async def _answer(self) -> None:
        """Always anew: the cache keeps texts."""
        await self._answer_anew(None)

    async def _compute(self, recorder: Recorder | None) -> None:
        """A micro-batch at a time: one that nobody waits for any more is the last."""
        for wanted in self._embedding.bodies():
            self._embedding.add(wanted, await self._gateway.engine.embed(wanted))
            self._counter.count_inputs(self._embedding.prompt_tokens)
            self._first.cancel()
        await self._whole.send(self._embedding.as_json())
