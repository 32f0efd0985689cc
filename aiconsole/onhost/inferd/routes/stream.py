"""`/v1/stream`: a WebSocket on which a client asks again and again."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.conversation import Conversation
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.exchange import Scope
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.handshake import Check, Receive, Send


class Stream:
    """Opens a connection that has been let in."""

    def __init__(self, gateway: Gateway, *, trusted: bool) -> None:
        self._gateway = gateway
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send, check: Check) -> None:
        """Serve one connection to its end."""
        if (await receive())["type"] != "websocket.connect":
            return
        gateway = self._gateway
        mark = (b"x-request-id", exchanges.of(scope).request_id.encode())
        await send({"type": "websocket.accept", "headers": [mark]})
        gateway.sockets_open += 1
        try:
            await Conversation(gateway, scope, receive, send, check).run(trusted=self._trusted)
        finally:
            gateway.sockets_open -= 1


async def no_upgrade(request: Request) -> Response:
    """Who comes by plain HTTP is told what to use."""
    exchanges.of(request.scope).route = "stream"
    raise ApiError(
        426, "This path wants a WebSocket: ask with `Upgrade: websocket`.", code="upgrade_required"
    )
