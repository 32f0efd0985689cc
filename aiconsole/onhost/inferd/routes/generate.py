"""`/v1/generate` and `/v1/inference`: a text in, a text out, for integrations that want no more."""

from __future__ import annotations

from dataclasses import replace

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.cache import wish
from aiconsole.onhost.inferd.exchange import Scope
from aiconsole.onhost.inferd.gate import Receive, Send
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.reply.generated import Generated, GeneratedStream
from aiconsole.onhost.inferd.request import ask as asking
from aiconsole.onhost.inferd.request import body, plain
from aiconsole.onhost.inferd.request.plain import PlainRoute
from aiconsole.onhost.inferd.serving import Serving


class Generate:
    """One of the two routes, as an ASGI application."""

    def __init__(self, gateway: Gateway, route: PlainRoute) -> None:
        self._gateway = gateway
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = exchanges.of(scope)
        exchange.route = self._route
        gateway = self._gateway
        given, size_bytes = await body.read(scope, receive, gateway.settings.limits.body_bytes)
        kind, fields = plain.as_openai(self._route, given)
        models = gateway.models.seen_by(exchange.grant)
        ask = asking.parse(kind, fields, models, gateway.engine.context_tokens)
        ask = replace(ask, size_bytes=size_bytes, cache=wish.of_headers(scope) or ask.cache)
        exchange.model, exchange.stream = gateway.models.name, ask.stream
        delivery = GeneratedStream(send) if ask.stream else Generated(send, ask, exchange)
        await Serving(gateway, ask, exchange, delivery).run(receive)
