"""Paths and their names: no spelling makes a protected path a public one."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.routing import Match

from aiconsole.onhost.inferd.access.endpoint import OTHER, endpoint_of, is_public
from aiconsole.onhost.inferd.access.grant import Grant
from aiconsole.onhost.inferd.app import _routes
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.llama import LlamaEngine
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.gateway import Gateway
from aiconsole.onhost.inferd.request.served import Served
from aiconsole.onhost.inferd.settings import ModelSettings, Settings
from aiconsole.onhost.inferd.tally import Tally

PUBLIC = frozenset({"/health", "/ready"})
TRICKS = (
    "//health", "/health/", "/health/../v1/models", "/health/../v1/chat/completions", "/HEALTH",
    "/./health", "/health;x", "/health\x00", "/health\n", "/health ", "/v1/../health", "", "health",
    "/health//", "\\health", "/ready/../metrics", "/%68ealth", "/health%2f", "/health?",
)  # fmt: skip


@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_is_public(path: str) -> None:
    assert not is_public(path, PUBLIC)
    assert endpoint_of(path) == OTHER


@pytest.mark.parametrize("path", ["/v1/models/../../health", "/v1/models//health"])
def test_a_models_name_may_look_like_a_path(path: str) -> None:
    assert endpoint_of(path) == "models"
    assert not is_public(path, PUBLIC)


def test_public_routes() -> None:
    assert is_public("/health", PUBLIC)
    assert not is_public("/v1/models", PUBLIC)
    for path in ("/v1/models", "/v1/models/a/b"):
        assert is_public(path, frozenset({"/v1/models"}))
    assert not is_public("/v1/modelsx", frozenset({"/v1/models"}))
    assert not is_public("/metrics/engine", frozenset({"/metrics"}))


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    settings = Settings(model=ModelSettings(name="tiny", path="/none"))
    engine = LlamaEngine(settings.model, settings.engine, tmp_path)
    return Gateway(settings, engine, Tally("a", "r"), Credentials(None), open_to_all=False)


def test_what_the_router_takes_for_public_the_table_does_too(gateway: Gateway) -> None:
    """Both look at the same text; a route that matched more than its path would be a hole."""
    routes = _routes(gateway)
    for path in (*TRICKS, "/v1/models/../../health"):
        scope = {"type": "http", "method": "GET", "path": path, "headers": []}
        for route in routes:
            if route.matches(scope)[0] is Match.FULL:
                assert endpoint_of(route.path) not in {"health", "ready"} or path == "/health\n"


def test_every_route_has_its_name(gateway: Gateway) -> None:
    for route in _routes(gateway):
        path = route.path.replace("{name:path}", "tiny")
        assert endpoint_of(path) != OTHER, path


def test_a_grant_is_for_its_endpoints() -> None:
    grant = Grant(endpoints=frozenset({"chat"}))
    for endpoint in ("chat", "health", "ready", "docs", "openapi"):
        grant.check_endpoint(endpoint)
    for endpoint in ("completions", "metrics", OTHER):
        with pytest.raises(ApiError, match="only: chat") as refused:
            grant.check_endpoint(endpoint)
        assert (refused.value.status, refused.value.code) == (403, "endpoint_not_allowed")
    with pytest.raises(ApiError, match="only: nothing"):
        Grant(endpoints=frozenset()).check_endpoint("chat")
    Grant().check_endpoint(OTHER)


def test_a_grant_is_for_its_models() -> None:
    served = Served("big", ["small", "tiny"])
    assert served.seen_by(Grant()) is served
    seen = served.seen_by(Grant(models=frozenset({"small", "elsewhere"})))
    assert seen.names == ("small",)
    for wanted in ("small", None):
        seen.check(wanted)
    for wanted, code in (("big", "model_not_allowed"), ("elsewhere", "model_not_found")):
        with pytest.raises(ApiError) as refused:
            seen.check(wanted)
        assert refused.value.code == code
    nothing = served.seen_by(Grant(models=frozenset({"elsewhere"})))
    assert nothing.names == ()
    for any_of_it in (None, "big", "elsewhere"):
        with pytest.raises(ApiError) as refused:
            nothing.check(any_of_it)
        assert refused.value.code == "model_not_allowed"
