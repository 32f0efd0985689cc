"""Tells the service manager what goes on: systemd's protocol, also spoken by the keeper."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Sends to `$NOTIFY_SOCKET`; without one it is silent."""

    def __init__(self, address: str | None = None) -> None:
        found = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        self._address = "\0" + found[1:] if found.startswith("@") else found

    def ready(self, status: str) -> None:
        """Requests are answered from now on."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, text: str, *, extend_s: float = 0.0) -> None:
        """One line on what is going on; `extend_s` asks for that much more time."""
        extend = f"\nEXTEND_TIMEOUT_USEC={int(extend_s * 1e6)}" if extend_s else ""
        self._send(f"STATUS={_line(text)}{extend}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(message.encode(), self._address)
        except OSError:
            # A manager that is gone or does not read must not keep us from serving.
            return


def _line(text: str) -> str:
    return " ".join(text.split())
