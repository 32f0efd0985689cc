"""`/metrics` for Prometheus."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.metrics import CONTENT_TYPE


class MetricsPage:
    """All series as text."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, request: Request) -> Response:
        """Write them out in a thread, so that a scrape holds up no token."""
        exchanges.of(request.scope).route = "metrics"
        text = await asyncio.to_thread(self._gateway.metrics.text)
        return Response(text, headers={"content-type": CONTENT_TYPE})
