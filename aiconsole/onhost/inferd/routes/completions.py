"""`/v1/chat/completions` and `/v1/completions`: from the client's JSON to the last token."""

from __future__ import annotations

from dataclasses import replace

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.cache import wish
from aiconsole.onhost.inferd.engine.protocol import Kind
from aiconsole.onhost.inferd.exchange import Scope
from aiconsole.onhost.inferd.gate import Receive, Send
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.reply.delivery import Delivery, Streamed, Whole
from aiconsole.onhost.inferd.reply.logprobs import TokenLists
from aiconsole.onhost.inferd.request import ask as asking
from aiconsole.onhost.inferd.request import body
from aiconsole.onhost.inferd.serving import Serving

_ROUTES: dict[Kind, str] = {"chat": "chat", "text": "completions"}


class Completions:
    """One of the two routes, as an ASGI application."""

    def __init__(self, gateway: Gateway, kind: Kind) -> None:
        self._gateway = gateway
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = exchanges.of(scope)
        exchange.route = _ROUTES[self._kind]
        gateway = self._gateway
        given, size_bytes = await body.read(scope, receive, gateway.settings.limits.body_bytes)
        models = gateway.models.seen_by(exchange.grant)
        ask = asking.parse(self._kind, given, models, gateway.engine.context_tokens)
        ask = replace(ask, size_bytes=size_bytes, cache=wish.of_headers(scope) or ask.cache)
        exchange.model, exchange.stream = gateway.models.name, ask.stream
        delivery: Delivery = Streamed(send, ask) if ask.stream else Whole(send, ask)
        if self._kind == "text" and "logprobs" in ask.body:
            delivery = TokenLists(delivery, given["logprobs"])
        await Serving(gateway, ask, exchange, delivery).run(receive)
