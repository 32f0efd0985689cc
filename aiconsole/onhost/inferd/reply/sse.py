"""Server-sent events towards a client: text as it comes, a comment when nothing comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

PING_S = 15.0
_LAST_WORD_S = 1.0
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """Opens the answer with the first event, or with the first comment if that is earlier."""

    def __init__(self, send: Callable[[Any], Awaitable[None]], ping_s: float = PING_S) -> None:
        self._send = send
        self._ping_s = ping_s
        self._loop = asyncio.get_running_loop()
        self._last_sent = self._loop.time()
        self._pinging: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(ping_s, self._tick)
        self.opened = False

    async def write(self, text: bytes) -> None:
        """Send events, already framed."""
        if not self.opened:
            await self._open()
        self._last_sent = self._loop.time()
        await self._send({"type": "http.response.body", "body": text, "more_body": True})

    async def finish(self, text: bytes) -> None:
        """Send the last events and end the answer."""
        self.close()
        if not self.opened:
            await self._open()
        await self._send({"type": "http.response.body", "body": text, "more_body": False})

    async def last_word(self, text: bytes) -> None:
        """End a broken answer; a client that does not read is not waited for."""
        try:
            await asyncio.wait_for(self.finish(text), _LAST_WORD_S)
        except asyncio.TimeoutError:
            return

    def close(self) -> None:
        """No more comments."""
        self._timer.cancel()

    async def _open(self) -> None:
        self.opened = True
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})

    def _tick(self) -> None:
        quiet_s = self._loop.time() - self._last_sent
        if quiet_s >= self._ping_s and (self._pinging is None or self._pinging.done()):
            self._pinging = self._loop.create_task(self.write(b": keep-alive\n\n"))
            quiet_s = 0.0
        self._timer = self._loop.call_later(self._ping_s - quiet_s, self._tick)


def event(data: bytes) -> bytes:
    """One event."""
    return b"data: " + data + b"\n\n"
