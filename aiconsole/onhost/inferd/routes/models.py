"""`/v1/models`: the one model that is served."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.routes.answers import JsonAnswer


class Models:
    """Answers the list and a single model."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._created = int(time.time())

    async def index(self, request: Request) -> Response:
        """The model, under each of the names that this client may use."""
        exchange = exchanges.of(request.scope)
        exchange.route = "models"
        names = self._gateway.models.seen_by(exchange.grant).names
        return JsonAnswer({"object": "list", "data": [self._model(n) for n in names]})

    async def one(self, request: Request) -> Response:
        """One by its name."""
        exchange = exchanges.of(request.scope)
        exchange.route = "models"
        name = request.path_params["name"]
        self._gateway.models.seen_by(exchange.grant).check(name)
        return JsonAnswer(self._model(name))

    def _model(self, name: str) -> dict[str, Any]:
        model = self._gateway.settings.model
        return {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": "aiconsole",
            "meta": {
                "sha256": model.sha256,
                "size_bytes": model.size_bytes,
                "context_tokens": self._gateway.engine.context_tokens,
            },
        }
