"""The gate of a WebSocket: where it comes from and who asks, settled before it is open."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from aiconsole.onhost.inferd.access.door import rejection_of
from aiconsole.onhost.inferd.errors import ApiError, failed, unavailable
from aiconsole.onhost.inferd.exchange import Exchange, Scope, header
from aiconsole.onhost.inferd.gateway import Gateway

log = logging.getLogger("inferd.handshake")

Check: TypeAlias = Callable[[Scope, Exchange], Awaitable[None]]
"""Raises an `ApiError` where the request may not be made."""
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
SocketApp: TypeAlias = Callable[[Scope, Receive, Send, Check], Awaitable[None]]

_PATH = "/v1/stream"


class Handshake:
    """Refuses with an HTTP status, or hands the connection on."""

    def __init__(
        self,
        app: SocketApp,
        gateway: Gateway,
        let_in: Check,
        check: Check,
        *,
        trusted: bool,
    ) -> None:
        """Stand before an application.

        Args:
            app: Serves a connection that is let in.
            gateway: What all requests share.
            let_in: The rules for a connection.
            check: The rules for each request on it.
            trusted: Whether this is the admin socket.
        """
        self._app = app
        self._gateway = gateway
        self._let_in = let_in
        self._check = check
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one WebSocket through, or answer it here."""
        scope["method"] = "GET"
        exchange = Exchange.open(scope, trusted=self._trusted)
        exchange.route = "stream"
        self._gateway.begin(exchange)
        try:
            await self._admit(scope, exchange)
            exchange.code, exchange.route = 101, "upgrade"
        except ApiError as error:
            if reason := rejection_of(error):
                self._gateway.metrics.rejected.labels(reason).inc()
            await _refuse(send, exchange, error)
        except Exception:  # the edge: a fault of ours is logged and answered
            log.exception("request %s failed", exchange.request_id)
            await _refuse(send, exchange, failed())
        finally:
            self._gateway.finish(exchange)
        if exchange.code == 101:
            await self._app(scope, receive, send, self._check)

    async def _admit(self, scope: Scope, exchange: Exchange) -> None:
        if scope["path"] != _PATH:
            path = scope["path"][:200]
            raise ApiError(404, f"There is no WebSocket {path} here.", code="not_found")
        # A browser sends a page's WebSocket anywhere, whatever CORS says; only we can refuse it.
        origin = header(scope, b"origin")
        cors = self._gateway.cors
        if origin and not (cors and cors.allows(origin)):
            raise ApiError(
                403, "Pages of this origin may not open a WebSocket here.",
                kind="permission_error", code="origin_not_allowed",
            )  # fmt: skip
        await self._let_in(scope, exchange)
        if self._gateway.draining:
            raise unavailable("This server is shutting down.", code="draining")


async def _refuse(send: Send, exchange: Exchange, error: ApiError) -> None:
    exchange.code, exchange.reason = error.status, error.code
    headers = [
        *error.headers(), (b"x-request-id", exchange.request_id.encode()), *exchange.headers
    ]  # fmt: skip
    await send(
        {"type": "websocket.http.response.start", "status": error.status, "headers": headers}
    )
    await send({"type": "websocket.http.response.body", "body": error.as_json()})
