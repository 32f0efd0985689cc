"""The application: which path leads where."""

from __future__ import annotations

from starlette.routing import Route, Router

from aiconsole.onhost.inferd.gate import Gate
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.routes.admin import Admin
from aiconsole.onhost.inferd.routes.completions import Completions
from aiconsole.onhost.inferd.routes.docs import Docs
from aiconsole.onhost.inferd.routes.embeddings import Embeddings
from aiconsole.onhost.inferd.routes.generate import Generate
from aiconsole.onhost.inferd.routes.health import Health
from aiconsole.onhost.inferd.routes.metrics import MetricsPage
from aiconsole.onhost.inferd.routes.models import Models
from aiconsole.onhost.inferd.routes.stream import Stream, no_upgrade


def public_app(gateway: Gateway) -> Gate:
    """What clients reach."""
    return _gate(_routes(gateway), gateway, trusted=False)


def admin_app(gateway: Gateway) -> Gate:
    """The same without a key, and the operator's own routes."""
    own = [Route("/admin/status", Admin(gateway).status, methods=["GET"])]
    return _gate(_routes(gateway) + own, gateway, trusted=True)


def _gate(routes: list[Route], gateway: Gateway, *, trusted: bool) -> Gate:
    sockets = Stream(gateway, trusted=trusted)
    return Gate(Router(routes, redirect_slashes=False), sockets, gateway, trusted=trusted)


def _routes(gateway: Gateway) -> list[Route]:
    health, models = Health(gateway), Models(gateway)
    metrics, docs = MetricsPage(gateway), Docs(gateway)
    return [
        Route("/v1/chat/completions", Completions(gateway, "chat"), methods=["POST"]),
        Route("/v1/completions", Completions(gateway, "text"), methods=["POST"]),
        Route("/v1/embeddings", Embeddings(gateway), methods=["POST"]),
        Route("/v1/generate", Generate(gateway, "generate"), methods=["POST"]),
        Route("/v1/inference", Generate(gateway, "inference"), methods=["POST"]),
        Route("/v1/stream", no_upgrade, methods=["GET"]),
        Route("/v1/models", models.index, methods=["GET"]),
        Route("/v1/models/{name:path}", models.one, methods=["GET"]),
        Route("/health", health.health, methods=["GET", "POST"]),
        Route("/ready", health.ready, methods=["GET"]),
        Route("/metrics", metrics.own, methods=["GET"]),
        Route("/metrics/engine", metrics.engine, methods=["GET"]),
        Route("/openapi.json", docs.openapi, methods=["GET"]),
        Route("/docs", docs.page, methods=["GET"]),
    ]
