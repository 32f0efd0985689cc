"""A transport that sends an answer's head together with the first piece of its body.

uvicorn writes one after the other, and each write is a system call that wakes the client: first
for a head without a body.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Together(asyncio.Transport):
    """Wraps the loop's own transport."""

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._head = b""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send; a head waits for what follows it, but no longer than this turn of the loop."""
        if self._head:
            head, self._head = self._head, b""
            self._inner.write(head + bytes(data))
        elif data[:9] == b"HTTP/1.1 ":
            self._head = bytes(data)
            self._loop.call_soon(self._flush)
        else:
            self._inner.write(data)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._inner.write(head)

    def close(self) -> None:
        """Close when everything is sent."""
        self._flush()
        self._inner.close()

    def abort(self) -> None:
        """Close at once."""
        self._head = b""
        self._inner.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the loop knows of the connection."""
        return self._inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Leave in the kernel what comes."""
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again what comes."""
        self._inner.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._inner.set_protocol(protocol)
