"""HTTP clients that cost next to nothing, so that what is measured is the server.

One protocol object for each connection, keep-alive, no parsing beyond what the end of an answer
needs; uvloop turns it. Seen against a server that only echoes: about 15,000 requests/s on a core.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast


@dataclass
class Tally:
    """Requests of one round."""

    total_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    """To the first event of a stream."""
    errors: Counter[str] = field(default_factory=Counter)
    elapsed_s: float = 0.0

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return len(self.total_s) / self.elapsed_s if self.elapsed_s else 0.0

    def quantile_ms(self, share: float) -> float:
        """Of the whole time of a request."""
        return quantile(self.total_s, share) * 1000


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def request(path: str, body: dict[str, Any], key: str = "k") -> bytes:
    """A whole POST."""
    data = json.dumps(body).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    ).encode() + data


class Connection(asyncio.Protocol):
    """One request at a time on one connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._done: asyncio.Future[bool] | None = None
        self.first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is of its own kind

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._done is None or self._done.done():
            return
        head, mark, rest = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        if not self.first and b"data: {" in rest:
            self.first = time.perf_counter()
        lower = head.lower()
        if b"chunked" in lower:
            whole = rest.endswith(b"0\r\n\r\n")
        else:
            whole = len(rest) >= int(lower.partition(b"content-length: ")[2].split(b"\r\n")[0])
        if whole:
            good = head.startswith(b"HTTP/1.1 200")
            if good:
                self._done.set_result(b"connection: close" not in lower)
            else:
                self._done.set_exception(ValueError(head[9:12].decode()))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError("closed"))

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, data: bytes) -> bool:
        """Send and wait for the end of the answer; whether the connection may be used again."""
        assert self._transport is not None
        self._buffer, self.first = b"", 0.0
        self._done = self._loop.create_future()
        self._transport.write(data)
        return await self._done

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def load(
    port: int, data: bytes, clients: int, seconds: float, *, closes: bool = False
) -> Tally:
    """Clients in a closed loop.

    Args:
        port: Of loopback.
        data: The request that each of them sends again and again.
        clients: How many at a time.
        seconds: For how long new requests are begun; each client makes at least one.
        closes: Whether the server closes after each answer without saying so (llama.cpp's
            own HTTP does so after a stream).
    """
    tally, began = Tally(), time.perf_counter()
    end = began + seconds
    await asyncio.gather(*(_client(port, data, end, tally, closes) for _ in range(clients)))
    tally.elapsed_s = time.perf_counter() - began
    return tally


async def _client(port: int, data: bytes, end: float, tally: Tally, closes: bool) -> None:
    loop, connection = asyncio.get_running_loop(), None
    began = 0.0
    while not began or time.perf_counter() < end:
        began = time.perf_counter()
        try:
            if connection is None or not connection.open:
                _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
            kept = await connection.ask(data)
        except (OSError, ValueError) as error:
            tally.errors[str(error) or type(error).__name__] += 1
            if connection is not None:
                connection.close()
            connection = None
            continue
        tally.total_s.append(time.perf_counter() - began)
        if connection.first:
            tally.first_s.append(connection.first - began)
        if closes or not kept:
            connection.close()
            connection = None
    if connection is not None:
        connection.close()


async def until_up(port: int, data: bytes, limit_s: float = 120.0) -> float:
    """Ask until there is an answer; how long that took."""
    began = time.perf_counter()
    while time.perf_counter() - began < limit_s:
        if (await load(port, data, 1, 0.01)).total_s:
            return time.perf_counter() - began
        await asyncio.sleep(0.02)
    raise TimeoutError(f"nobody answers on port {port}")
