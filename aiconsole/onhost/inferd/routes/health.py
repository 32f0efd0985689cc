"""`/health`: the process lives. `/ready`: requests are welcome. Two questions, never one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.routes.answers import JsonAnswer


class Health:
    """Both answers."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def health(self, request: Request) -> Response:
        """200 as long as the loop turns; says which process answers."""
        exchanges.of(request.scope).route = "health"
        tally = self._gateway.tally
        return JsonAnswer(
            {
                "status": "ok",
                "instance": tally.instance,
                "version": self._gateway.version,
                "slot": tally.slot,
                "release": tally.release_id,
                "state": tally.state,
            }
        )

    async def ready(self, request: Request) -> Response:
        """200 only if a request would be served now; else 503 with the reason."""
        exchanges.of(request.scope).route = "ready"
        reason = self._gateway.not_ready()
        engine = self._gateway.engine.status()
        detail = engine.reason or engine.phase or self._gateway.tally.reason
        detail = (
            detail or self._gateway.cache.fault
        )  # worth a word, but no reason to send elsewhere
        answer = {"ready": not reason, "reason": reason, "detail": detail}
        headers = {"retry-after": "1"} if reason else {}
        return JsonAnswer(answer, status_code=503 if reason else 200, headers=headers)
