"""Who is let in, and as whom: address, then key or token, then endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiconsole.onhost.inferd.access import bearer
from aiconsole.onhost.inferd.access.address import Addresses, Networks, is_of_this_machine
from aiconsole.onhost.inferd.access.endpoint import PROBES, endpoint_of, is_public
from aiconsole.onhost.inferd.access.grant import Grant, forbidden
from aiconsole.onhost.inferd.access.keys import KeyFile
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.errors import ApiError, unauthorized
from aiconsole.onhost.inferd.exchange import Exchange, Scope
from aiconsole.onhost.inferd.settings import AuthSettings

if TYPE_CHECKING:
    from aiconsole.onhost.inferd.access.jwt import Tokens


class Door:
    """The rules of `[auth]`, for requests and for WebSockets alike."""

    def __init__(
        self, settings: AuthSettings, credentials: Credentials, *, open_to_all: bool
    ) -> None:
        """Read the keys.

        Args:
            settings: The table `[auth]`.
            credentials: Where the secret for tokens lies.
            open_to_all: Whether others than this machine can reach the listening address.

        Raises:
            StartError: The keys for tokens cannot be used.
        """
        self.required = settings.required or open_to_all
        path = Path(settings.keys_file) if settings.keys_file else None
        self.keys = KeyFile(path, needed=self.required)
        self._tokens: Tokens | None = None
        if settings.jwt is not None:
            # Late: a daemon without tokens need not load what checks them.
            from aiconsole.onhost.inferd.access.jwt import Tokens

            self._tokens = Tokens(settings.jwt, credentials)
        self._addresses = Addresses(settings.trusted_proxies, settings.proxy_header)
        self._allowed = Networks(settings.allow)
        self._public = frozenset(settings.public_routes)

    def open(self) -> None:
        """The loop runs from now on."""
        if self._tokens is not None:
            self._tokens.open()

    async def close(self) -> None:
        """The end."""
        if self._tokens is not None:
            await self._tokens.close()

    async def admit(self, scope: Scope, exchange: Exchange) -> None:
        """Find out who asks, and refuse who may not.

        Raises:
            ApiError: 401, 403, or 503 where the keys for tokens are not there.
        """
        path = scope["path"]
        endpoint = endpoint_of(path)
        exchange.route = endpoint
        exchange.client = self._addresses.client_of(scope)
        is_probe = endpoint in PROBES and is_of_this_machine(scope)
        if self._allowed and not is_probe and exchange.client not in self._allowed:
            raise forbidden("This address may not ask here.", code="address_not_allowed")
        if is_probe or is_public(path, self._public):
            return
        if not self.required and endpoint != "metrics":
            return
        exchange.grant = await self._identify(scope, exchange.client)
        exchange.grant.check_endpoint(endpoint)

    async def _identify(self, scope: Scope, client: str) -> Grant:
        text = bearer.shown(scope)
        tokens, keys = self._tokens, self.keys
        if text and tokens is not None and (bearer.is_token(text) or not keys.configured):
            return await tokens.check(text)
        if not text and (tokens is not None or not keys.fault):
            raise unauthorized(
                "A key or a token is needed, in the header `Authorization: Bearer ...`."
                if tokens is not None
                else "A key is needed, in the header `Authorization: Bearer ak-...`.",
                code="missing_api_key",
            )
        return keys.check(text, client)


def rejection_of(error: ApiError) -> str:
    """Under which reason a refusal is counted; nothing where another part counts it."""
    if error.code == "address_not_allowed":
        return "ip"
    if error.code in ("endpoint_not_allowed", "model_not_allowed"):
        return "scope"
    return "auth" if error.status == 401 else ""
