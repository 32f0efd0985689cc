"""One open WebSocket: requests one after the other, until either side has enough."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from aiconsole.onhost.inferd.errors import ApiError, bad_request, unavailable
from aiconsole.onhost.inferd.exchange import Exchange, Scope
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.handshake import Check, Receive, Send
from aiconsole.onhost.inferd.network.socket_connection import END
from aiconsole.onhost.inferd.reply.spoken import Spoken
from aiconsole.onhost.inferd.request import ask as asking
from aiconsole.onhost.inferd.serving import Serving

log = logging.getLogger("inferd.stream")

_WAITING = 1
_GOING_AWAY = 1001
_CLIENT_GONE = 499


@dataclass(slots=True, eq=False)
class Turn:
    """One request of the client's."""

    given: dict[str, Any]
    mark: str | int | None
    """The client's own `id`, given back with every message of the answer."""
    size_bytes: int
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nobody wants the rest of the answer."""

    async def gone(self) -> dict[str, str]:
        """What a request hears when its client has left."""
        await self.over.wait()
        return {"type": "http.disconnect"}


class Conversation:
    """Made for one connection, run once.

    One task listens, so that a cancel or the client's leaving is heard at any time; another
    answers.
    """

    def __init__(
        self, gateway: Gateway, scope: Scope, receive: Receive, send: Send, check: Check
    ) -> None:
        self._gateway = gateway
        self._scope = scope
        self._receive = receive
        self._send = send
        self._check = check
        self._turns: asyncio.Queue[Turn | None] = asyncio.Queue()
        self._open: list[Turn] = []
        self._ending = self._left = False

    async def run(self, *, trusted: bool) -> None:
        """Talk until the end."""
        answering = asyncio.get_running_loop().create_task(self._answer_all(trusted))
        try:
            while not self._left:
                await self._hear(await self._receive())
        finally:
            self._left = True
            for turn in self._open:
                turn.over.set()
            self._turns.put_nowait(None)
            await answering

    async def _hear(self, message: Any) -> None:
        if message["type"] == "websocket.receive":
            await self._take(message.get("text") or message.get("bytes") or b"")
        elif message["type"] == END:
            self._ending = True
            self._turns.put_nowait(None)
        elif message["type"] == "websocket.disconnect":
            self._left = True

    async def _take(self, data: str | bytes) -> None:
        """A message of the client's."""
        mark = None
        try:
            given = _decoded(data)
            mark = _mark(given)
            kind = given.get("type", "request")
            if kind == "cancel":
                self._cancel(mark)
            elif kind == "request":
                self._queue(Turn(given, mark, len(data)))
            else:
                raise bad_request("`type` must be `request` or `cancel`.", param="type")
        except ApiError as error:
            await self.say(_error(mark, error))

    def _queue(self, turn: Turn) -> None:
        if self._ending:
            raise unavailable("This server is shutting down.", code="draining")
        if len(self._open) > _WAITING:
            raise ApiError(
                409, "One request is answered and one waits: send the next when one is done.",
                code="busy",
            )  # fmt: skip
        self._open.append(turn)
        self._turns.put_nowait(turn)

    def _cancel(self, mark: str | int | None) -> None:
        """End the request of that mark, or the first; one that is just done is no fault."""
        for turn in self._open:
            if mark in (None, turn.mark):
                turn.over.set()
                return

    async def _answer_all(self, trusted: bool) -> None:
        while (turn := await self._turns.get()) is not None:
            await self._answer(turn, trusted)
            self._open.remove(turn)
        if not self._left:
            await self._tell({"type": "websocket.close", "code": _GOING_AWAY, "reason": "draining"})

    async def _answer(self, turn: Turn, trusted: bool) -> None:
        """One request, as the gate lets one of HTTP through."""
        exchange = Exchange.open(self._scope, trusted=trusted)
        exchange.request_id = uuid.uuid4().hex
        exchange.route, exchange.stream = "stream", True
        self._gateway.begin(exchange)
        try:
            await self._check(self._scope, exchange)
            await self._serve(turn, exchange)
        except ApiError as error:
            exchange.code, exchange.reason = error.status, error.code
            await self.say(_error(turn.mark, error, exchange.request_id))
        except Exception:  # the edge: a fault of ours is logged and told, and ends nothing else
            log.exception("request %s failed", exchange.request_id)
            exchange.code, exchange.cut = 500, True
            fault = ApiError(500, "The server failed.", kind="server_error", code="internal")
            await self.say(_error(turn.mark, fault, exchange.request_id))
        finally:
            exchange.code = exchange.code or _CLIENT_GONE
            self._gateway.finish(exchange)

    async def _serve(self, turn: Turn, exchange: Exchange) -> None:
        gateway = self._gateway
        kind = asking.kind_of(turn.given)
        models = gateway.models.seen_by(exchange.grant)
        ask = asking.parse(kind, turn.given, models, gateway.engine.context_tokens)
        ask = replace(ask, stream=True, size_bytes=turn.size_bytes)
        exchange.model = gateway.models.name
        spoken = Spoken(self.say, exchange, turn.mark, gateway.models.name)
        await Serving(gateway, ask, exchange, spoken).run(turn.gone)
        if exchange.code == _CLIENT_GONE:
            exchange.reason = "client-gone" if self._left else "cancelled"
            await spoken.cancelled()

    async def say(self, message: dict[str, Any]) -> None:
        """Send a message, if somebody is still there."""
        if not self._left:
            await self._tell({"type": "websocket.send", "text": orjson.dumps(message).decode()})

    async def _tell(self, message: dict[str, Any]) -> None:
        try:
            await self._send(message)
        except OSError:
            return  # the client has left; the listening task is just about to hear of it


def _decoded(data: str | bytes) -> dict[str, Any]:
    try:
        given = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"The message is not valid JSON: {error}.", code="invalid_json") from None
    if not isinstance(given, dict):
        raise bad_request("The message must be a JSON object.", code="invalid_json")
    return given


def _mark(given: dict[str, Any]) -> str | int | None:
    mark = given.get("id")
    if mark is None or type(mark) is int or (isinstance(mark, str) and len(mark) <= 128):
        return mark
    raise bad_request("`id` must be a text of at most 128 characters or a number.", param="id")


def _error(mark: str | int | None, error: ApiError, request_id: str = "") -> dict[str, Any]:
    message = {"type": "error", "id": mark, "status": error.status, **orjson.loads(error.as_json())}
    return {**message, "request_id": request_id} if request_id else message
