"""The first and last thing every request passes: its id, its key, its line in the log."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.access.cors import Cors
from aiconsole.onhost.inferd.access.door import rejection_of
from aiconsole.onhost.inferd.errors import ApiError, failed
from aiconsole.onhost.inferd.exchange import Exchange, Scope
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.handshake import Handshake, SocketApp
from aiconsole.onhost.inferd.request.body import ClientGoneError

log = logging.getLogger("inferd.gate")

Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_CLIENT_GONE = 499


class Gate:
    """Wraps an application; `trusted` is the admin socket, whose file mode is its lock."""

    def __init__(self, app: App, sockets: SocketApp, gateway: Gateway, *, trusted: bool) -> None:
        self._app = app
        self._gateway = gateway
        self._trusted = trusted
        self._handshake = Handshake(sockets, gateway, self._let_in, self._check, trusted=trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it here."""
        if scope["type"] == "websocket":
            await self._handshake(scope, receive, send)
            return
        exchange = Exchange.open(scope, trusted=self._trusted)
        mark = (b"x-request-id", exchange.request_id.encode())

        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                exchange.code = message["status"]
                headers = [*message["headers"], mark, *exchange.headers]
                message = {**message, "headers": headers}
            await send(message)

        self._gateway.begin(exchange)
        # Starlette's router raises its 404 and 405 only within an application.
        scope["app"] = self._app
        try:
            cors = self._gateway.cors
            if cors is not None and await self._preflight(cors, scope, marked):
                return
            await self._check(scope, exchange)
            await self._app(scope, receive, marked)
        except ApiError as error:
            if reason := rejection_of(error):
                self._gateway.metrics.rejected.labels(reason).inc()
            await refuse(marked, exchange, error)
        except HTTPException as error:
            await refuse(marked, exchange, _translated(error, scope))
        except ClientGoneError:
            exchange.code, exchange.reason = _CLIENT_GONE, "client-gone"
        except (
            Exception
        ):  # the edge: a fault of ours is logged and answered, and ends no other request
            log.exception("request %s failed", exchange.request_id)
            await self._apologise(marked, exchange)
        finally:
            exchange.code = exchange.code or _CLIENT_GONE
            self._gateway.finish(exchange)

    async def _preflight(self, cors: Cors, scope: Scope, send: Send) -> bool:
        """Mark the answer for the browser; True if that was all that it asked."""
        exchange = exchanges.of(scope)
        exchange.headers += cors.headers(scope)
        found = cors.preflight(scope)
        if found is None:
            return False
        exchange.route = "preflight"
        await send({"type": "http.response.start", "status": 204, "headers": found})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True

    async def _check(self, scope: Scope, exchange: Exchange) -> None:
        """Whether this may be asked now; a WebSocket's requests are checked one by one.

        Raises:
            ApiError: It may not.
        """
        await self._let_in(scope, exchange)
        self._gateway.meter.admit(exchange)

    async def _let_in(self, scope: Scope, exchange: Exchange) -> None:
        """Every rule that looks at who asks and not at what; the admin socket's lock is its mode.

        Raises:
            ApiError: The request ends here.
        """
        if not self._trusted:
            await self._gateway.door.admit(scope, exchange)

    async def _apologise(self, send: Send, exchange: Exchange) -> None:
        if exchange.code:
            exchange.cut = True  # an answer had begun; the server closes the connection
            return
        await refuse(send, exchange, failed())


async def refuse(send: Send, exchange: Exchange, error: ApiError) -> None:
    """Answer with an error."""
    exchange.reason = error.code
    body = error.as_json()
    length = (b"content-length", str(len(body)).encode())
    start = {
        "type": "http.response.start",
        "status": error.status,
        "headers": [*error.headers(), length],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _translated(error: HTTPException, scope: Scope) -> ApiError:
    """The router's own refusals, in the shape of all others."""
    method, path = scope["method"], scope["path"][:200]
    if error.status_code == 405:
        return ApiError(405, f"{method} is not allowed on {path}.", code="method_not_allowed")
    return ApiError(404, f"There is no {method} {path} here.", code="not_found")
