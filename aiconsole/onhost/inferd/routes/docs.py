"""`/openapi.json` and `/docs`: what can be asked here, for programs and for people."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from aiconsole.onhost.inferd import exchange as exchanges
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.routes.openapi.document import document
from aiconsole.onhost.inferd.routes.openapi.page import CSP, page


class Docs:
    """Both, made once."""

    def __init__(self, gateway: Gateway) -> None:
        found = document(
            gateway.version,
            keys_required=gateway.door.required,
            open_paths=frozenset(gateway.settings.auth.public_routes),
        )
        self._json = orjson.dumps(found)
        self._page = page(found, gateway.models.name)

    async def openapi(self, request: Request) -> Response:
        """OpenAPI 3.1."""
        exchanges.of(request.scope).route = "openapi"
        return Response(self._json, media_type="application/json")

    async def page(self, request: Request) -> Response:
        """A page that a browser shows."""
        exchanges.of(request.scope).route = "docs"
        headers = {
            "content-security-policy": CSP,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        return Response(self._page, media_type="text/html", headers=headers)
