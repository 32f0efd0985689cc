"""Tells the service manager what goes on: systemd's protocol, also spoken by the keeper."""

from __future__ import annotations

import asyncio
import os
import socket

_AGAIN_S = 0.1


class Notifier:
    """Sends to `$NOTIFY_SOCKET`; without one it is silent."""

    def __init__(self, address: str | None = None) -> None:
        found = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = "\0" + found[1:] if found.startswith("@") else found
        self._owed: list[str] = []
        """What must not be lost, and has not gone out yet."""

    def ready(self, status: str) -> None:
        """Requests are answered from now on."""
        self._owe(f"READY=1\nSTATUS={_line(status)}")

    def status(self, text: str, *, extend_s: float = 0.0) -> None:
        """One line on what is going on; `extend_s` asks for that much more time."""
        extend = f"\nEXTEND_TIMEOUT_USEC={int(extend_s * 1e6)}" if extend_s else ""
        if not self._owed:
            self._send(f"STATUS={_line(text)}{extend}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._owe(f"STOPPING=1\nSTATUS={_line(status)}")

    def _owe(self, message: str) -> None:
        self._owed.append(message)
        if len(self._owed) == 1:
            self._pay()

    def _pay(self) -> None:
        """Send what is owed; a manager that is slow to read finds it later."""
        while self._owed:
            if not self._send(self._owed[0]):
                asyncio.get_running_loop().call_later(_AGAIN_S, self._pay)
                return
            self._owed.pop(0)

    def _send(self, message: str) -> bool:
        """Whether it is worth no other try."""
        if not self._address:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(message.encode(), self._address)
        except BlockingIOError:
            return False
        except OSError:
            # A manager that is gone must not keep us from serving.
            return True
        return True


def _line(text: str) -> str:
    return " ".join(text.split())
