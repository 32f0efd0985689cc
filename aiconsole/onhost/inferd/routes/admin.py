"""`/admin/status`, on the admin socket only: what this slot is doing."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.routes.answers import JsonAnswer


class Admin:
    """What only the operator sees."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def status(self, request: Request) -> Response:
        """The tally as it is now."""
        exchanges.of(request.scope).route = "admin"
        gateway = self._gateway
        return JsonAnswer({**gateway.tally.as_json(), "cache": gateway.cache.status()})
