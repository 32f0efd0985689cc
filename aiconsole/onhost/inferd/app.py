"""The application: which path leads where."""

from __future__ import annotations

from starlette.routing import Route, Router

from aiconsole.onhost.inferd.gate import Gate
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.routes.admin import Admin
from aiconsole.onhost.inferd.routes.completions import Completions
from aiconsole.onhost.inferd.routes.health import Health
from aiconsole.onhost.inferd.routes.metrics import MetricsPage
from aiconsole.onhost.inferd.routes.models import Models


def public_app(gateway: Gateway) -> Gate:
    """What clients reach."""
    return Gate(Router(_routes(gateway), redirect_slashes=False), gateway, trusted=False)


def admin_app(gateway: Gateway) -> Gate:
    """The same without a key, and the operator's own routes."""
    own = [Route("/admin/status", Admin(gateway).status, methods=["GET"])]
    return Gate(Router(_routes(gateway) + own, redirect_slashes=False), gateway, trusted=True)


def _routes(gateway: Gateway) -> list[Route]:
    health, models, metrics = Health(gateway), Models(gateway), MetricsPage(gateway)
    return [
        Route("/v1/chat/completions", Completions(gateway, "chat"), methods=["POST"]),
        Route("/v1/completions", Completions(gateway, "text"), methods=["POST"]),
        Route("/v1/models", models.index, methods=["GET"]),
        Route("/v1/models/{name:path}", models.one, methods=["GET"]),
        Route("/health", health.health, methods=["GET", "POST"]),
        Route("/ready", health.ready, methods=["GET"]),
        Route("/metrics", metrics.own, methods=["GET"]),
        Route("/metrics/engine", metrics.engine, methods=["GET"]),
    ]
