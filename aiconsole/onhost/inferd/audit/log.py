"""One JSON line for each request, on stdout; never the prompt, never the key."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone

import orjson

from aiconsole.onhost.inferd.exchange import Exchange

_FLUSH_S = 0.1
_MAX_WAITING = 10_000


class Audit:
    """Collects lines and writes them from a thread: a log that does not read blocks nobody."""

    def __init__(self, fd: int, dropped: Callable[[], None]) -> None:
        self._fd = fd
        self._dropped = dropped
        self._waiting: list[bytes] = []
        self._writing: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def stdout(cls, dropped: Callable[[], None]) -> Audit:
        """The usual place; journald or the keeper reads it."""
        return cls(sys.stdout.fileno(), dropped)

    def write(self, exchange: Exchange) -> None:
        """Put a finished request down."""
        if len(self._waiting) >= _MAX_WAITING:
            self._dropped()
            return
        self._waiting.append(_line(exchange))
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_FLUSH_S, self._flush)

    async def close(self) -> None:
        """Write what is left, if the reader still reads."""
        if self._timer is not None:
            self._timer.cancel()
        for _ in range(2):
            if self._writing is not None:
                await asyncio.wait([self._writing], timeout=2.0)
            self._flush()

    def _flush(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        if self._writing is not None and not self._writing.done():
            self._timer = loop.call_later(_FLUSH_S, self._flush)
            return
        data, self._waiting = b"".join(self._waiting), []
        self._writing = loop.run_in_executor(None, self._put, data)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            for _ in range(bytes(view).count(b"\n")):
                self._dropped()


def _line(exchange: Exchange) -> bytes:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return orjson.dumps(
        {
            "ts": now,
            "id": exchange.request_id,
            "key": exchange.grant.name,
            "ip": exchange.client,
            "route": exchange.route,
            "model": exchange.model,
            "code": exchange.code,
            "reason": exchange.reason,
            "finish": exchange.finish_reason,
            "stream": exchange.stream,
            "prompt_tokens": exchange.prompt_tokens,
            "completion_tokens": exchange.completion_tokens,
            "queue_s": round(exchange.queue_s, 4),
            "ttft_s": round(exchange.ttft_s, 4),
            "total_s": round(exchange.elapsed_s, 4),
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
