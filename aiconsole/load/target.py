"""Whom the load goes to: the URL, the model, and whether one request is answered at all."""

from __future__ import annotations

import ipaddress
import json
import socket
from dataclasses import replace
from typing import Any

import aiohttp
from yarl import URL

from aiconsole.errors import (
    CommandError,
    LoginError,
    NotFoundError,
    SettingsError,
    UnreachableError,
)
from aiconsole.load.exchange import open_client
from aiconsole.load.failure import CONNECT, TLS, of_exception
from aiconsole.load.spec import PATHS, Pace, Spec
from aiconsole.secret import Secret
from aiconsole.visible import visible

_LOOK_S = 15.0
_TRIAL = 1_000_000_007
"""Number of the trial request: the load never comes to it, so no cache is warmed for it."""


def base_url(text: str) -> str:
    """The base of a service, without `/v1`.

    Raises:
        SettingsError: It is no http or https URL, or holds a password.
    """
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError as error:
        raise _no_url(text, str(error)) from error
    if url.user or url.password:
        # It would be repeated nowhere: not even in the error.
        raise SettingsError(
            "The URL holds a name or a password",
            "everybody on this machine could read it",
            "give the key with --key-file PATH",
        )
    if url.scheme not in ("http", "https") or not host or not port:
        raise _no_url(text, "")
    if url.query_string or url.fragment:
        raise _no_url(text, "it has a query")
    path = url.path.rstrip("/")
    for known in PATHS.values():
        path = path.removesuffix(known)
    return str(url.origin()) + path.removesuffix("/v1")


def is_here(url: str) -> bool:
    """True where the service is on this machine, so that nobody reads along."""
    host = URL(url).host or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host == socket.gethostname()


async def find_model(spec: Spec, key: Secret | None) -> str:
    """The first model that the service lists.

    Raises:
        UnreachableError: Nobody answers there.
        LoginError: It wants a key, or another one.
        NotFoundError: It lists none.
        CommandError: It answers with something else.
    """
    try:
        async with open_client(replace(spec, timeout_s=_LOOK_S, pace=Pace()), key) as client:
            status, body = await client.get("/v1/models")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _unreachable(spec.url, error) from error
    if status in (401, 403):
        raise _key_error(spec.url, status, key)
    name = _first_model(body) if status == 200 else ""
    if name:
        return name
    if status in (200, 404):
        raise NotFoundError(
            f"{spec.url} lists no model",
            f"GET /v1/models: HTTP {status}",
            "name one with --model NAME, or look whether the URL is the base of the service",
        )
    raise CommandError(
        f"{spec.url} does not list its models",
        visible(f"HTTP {status}: {body[:300].decode(errors='replace')}"),
        "wait until it is ready, or name a model with --model NAME",
    )


async def try_one(spec: Spec, key: Secret | None) -> None:
    """Send one request, and refuse a load that could only fail.

    A server that is overloaded or broken may be measured all the same.

    Raises:
        UnreachableError: Nobody answers there.
        LoginError: It wants a key, or another one.
        CommandError: It refuses the request for what it is.
    """
    async with open_client(replace(spec, pace=Pace()), key) as client:
        exchange = await client.ask(_TRIAL)
    failed = exchange.failed
    if failed is None:
        return
    if failed.kind in (CONNECT, TLS):
        raise UnreachableError(f"{spec.url} cannot be reached", visible(failed.example))
    if failed.kind in ("HTTP 401", "HTTP 403"):
        raise _key_error(spec.url, int(failed.kind[-3:]), key)
    if failed.kind.startswith(("HTTP 3", "HTTP 4")) and not failed.kind.startswith("HTTP 429"):
        raise CommandError(
            f"{spec.request_url} refuses the request",
            visible(f"{failed.kind}: {failed.example}"),
            "look at --endpoint, --model, --max-tokens and the prompts",
        )


def _first_model(body: bytes) -> str:
    try:
        document: Any = json.loads(body)
        name = document["data"][0]["id"]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


def _unreachable(url: str, error: Exception) -> UnreachableError:
    failed = of_exception(error, answering=False)
    hint = "is it running? aiconsole status"
    if failed.kind == TLS:
        hint = "give the authority that signed its certificate: --ca-file PEM"
    return UnreachableError(f"{url} cannot be reached", visible(failed.example), hint)


def _key_error(url: str, status: int, key: Secret | None) -> LoginError:
    return LoginError(
        f"{url} does not accept the key" if key else f"{url} wants a key",
        f"HTTP {status}",
        "give it with --key-file PATH, or in AICONSOLE_BENCH_KEY",
    )


def _no_url(text: str, why: str) -> SettingsError:
    return SettingsError(
        f"{visible(text)} is not the URL of a service",
        why,
        "for example http://127.0.0.1:8480, or the name of a host of the fleet",
    )
