"""`/metrics` for Prometheus, and `/metrics/engine` with what the engine says of itself."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.metrics import CONTENT_TYPE

_ENGINE_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsPage:
    """All series as text."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def own(self, request: Request) -> Response:
        """Write them out in a thread, so that a scrape holds up no token."""
        exchanges.of(request.scope).route = "metrics"
        metrics = self._gateway.metrics
        metrics.tasks.set(len(asyncio.all_tasks()))
        if metrics.vllm is not None and self._gateway.settings.engine.kind != "llama":
            # llama.cpp says nothing there that vLLM has a name for.
            metrics.vllm.engine_text = await self._engine_text()
        text = await asyncio.to_thread(metrics.text)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def engine(self, request: Request) -> Response:
        """The engine's own text as it is."""
        exchanges.of(request.scope).route = "metrics"
        text = await self._gateway.engine_page.text()
        return Response(text, headers={"content-type": _ENGINE_CONTENT_TYPE})

    async def _engine_text(self) -> bytes:
        """The same, or nothing: our own series are shown whatever the engine does."""
        try:
            return await self._gateway.engine_page.text()
        except ApiError:
            return b""
