"""HTTP to a server elsewhere: names, certificates, proxies' ways, and silences; by aiohttp."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp

from aiconsole.onhost.inferd.engine.transport import BrokeOffError, NotReachedError

_CONNECT_TIMEOUT_S = 15.0
_KEPT_S = 15.0  # a new one costs a handshake


class FarResponse:
    """One answer."""

    def __init__(self, response: aiohttp.ClientResponse, open_: set[FarResponse]) -> None:
        self._response = response
        self._open = open_
        self._open.add(self)

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._response.status

    def header(self, name: str) -> str:
        """Value of a header, or nothing."""
        return self._response.headers.get(name, "")

    async def pieces(self) -> bytes:
        """What has come since the last call; empty at the end."""
        try:
            return await self._response.content.readany()
        except asyncio.TimeoutError:
            raise
        # RuntimeError is aiohttp's way to say that the connection went down between two reads.
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise BrokeOffError(str(error)) from error

    def close(self) -> None:
        """Of no effect on a connection whose answer was read to its end."""
        self._open.discard(self)
        self._response.close()


class FarHttp:
    """A pool of connections to one server."""

    def __init__(self, api_key: str, silence_s: float | None, tls: ssl.SSLContext | None) -> None:
        """Connect to nothing yet.

        Args:
            api_key: Sent as a bearer token; empty sends none.
            silence_s: How long the server may send nothing; None is for ever.
            tls: What to trust; None takes the system's certificates.
        """
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                keepalive_timeout=_KEPT_S, limit=0, ssl=True if tls is None else tls
            ),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=silence_s
            ),
            skip_auto_headers=("User-Agent", "Accept"),
            auto_decompress=False,
            trust_env=False,
        )
        self._open: set[FarResponse] = set()

    async def ask(self, method: str, url: str, data: bytes, *, stream: bool = False) -> FarResponse:
        """Send a request; the head of its answer has come."""
        try:
            response = await self._session.request(
                method, url, data=data or None, allow_redirects=False
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotReachedError(str(error)) from error
        except asyncio.TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise BrokeOffError(str(error)) from error
        return FarResponse(response, self._open)

    async def close(self) -> None:
        """Break off what runs; closing the session alone would leave its readers waiting."""
        for response in list(self._open):
            response.close()
        await self._session.close()
