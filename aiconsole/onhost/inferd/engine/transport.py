"""How a server is spoken to: what the two ways of doing it, near and far, have in common."""

from __future__ import annotations

from typing import Protocol


class NotReachedError(ConnectionError):
    """There is no connection to be had."""


class BrokeOffError(ConnectionError):
    """The server ended before its answer was whole, or what it sent is none."""


class Response(Protocol):
    """An answer whose head has come."""

    @property
    def status(self) -> int:
        """HTTP status."""

    def header(self, name: str) -> str:
        """Value of `Content-Encoding` or `Retry-After`; empty where there is none."""

    async def pieces(self) -> bytes:
        """What has come of the body since the last call; empty at its end.

        Raises:
            BrokeOffError: The server broke off.
            asyncio.TimeoutError: It has sent nothing for too long.
        """

    def close(self) -> None:
        """The connection is kept if the answer was read to its end, and else broken off."""


class Transport(Protocol):
    """Connections to one server."""

    async def ask(self, method: str, url: str, data: bytes, *, stream: bool = False) -> Response:
        """Send a request and wait for the head of its answer.

        Args:
            method: Of HTTP.
            url: The whole address.
            data: JSON; empty sends no body.
            stream: Whether an answer of many pieces is expected.

        Raises:
            NotReachedError: Nobody is there.
            BrokeOffError: The server broke off.
            asyncio.TimeoutError: It says nothing.
        """

    async def close(self) -> None:
        """Break off what runs, and close what is open."""
