"""What a client would notice of a swap: probes of the shared address, one each 50 ms."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from dataclasses import dataclass

from aiconsole.onhost.keeper.address import reachable, resolve, split

_EACH_S = 0.05


@dataclass(slots=True)
class Noticed:
    """The sum of all probes."""

    probes: int = 0
    failed: int = 0
    longest_wait_s: float = 0.0
    """From connect to the first byte of the answer, of probes that got one."""


class Watch:
    """Probes `GET /health` on a fresh connection each, while the context lasts."""

    def __init__(self, address: str, timeout_s: float) -> None:
        """Get ready to probe.

        Args:
            address: `host:port` that clients use; empty probes nothing.
            timeout_s: After this a probe without an answer counts as failed.
        """
        self.noticed = Noticed()
        self._target = split(reachable(address)) if address else None
        self._timeout_s = timeout_s
        self._end = threading.Event()
        self._open: socket.socket | None = None
        self._tls: ssl.SSLContext | None = None
        """What the service was last heard to speak; it may change with a release."""
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        if self._target:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread.is_alive():
            # A probe that waits in the queue of a held socket gets as long as a healthy one needs.
            self._thread.join(2.0)
            self._abort()
            self._thread.join()

    def _run(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            self._probe(began)
            self._end.wait(max(0.0, _EACH_S - (time.monotonic() - began)))

    def _probe(self, began: float) -> None:
        noticed = self.noticed
        try:
            answered = self._ask()
        except (OSError, ValueError):
            answered = False
        if not answered and self._end.is_set():
            return  # Cut off by the end of the watch: nobody knows what it would have got.
        noticed.probes += 1
        if answered:
            noticed.longest_wait_s = max(noticed.longest_wait_s, time.monotonic() - began)
        else:
            noticed.failed += 1

    def _ask(self) -> bool:
        """Ask in the way that worked last, then in the other: plainly, or by TLS."""
        other = None if self._tls else _any_certificate()
        answered: bool | None
        try:
            answered = self._ask_by(self._tls)
        except ssl.SSLError:
            answered = None
        if answered is None and self._ask_by(other):
            self._tls, answered = other, True
        return bool(answered)

    def _ask_by(self, tls: ssl.SSLContext | None) -> bool | None:
        """Whether it answers well; None where it closes without a word."""
        assert self._target
        host, port = self._target
        family, place = resolve(f"[{host}]:{port}")
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            self._open = sock  # Before it connects: a full queue holds it there.
            sock.settimeout(self._timeout_s)
            sock.connect(place)
            with sock if tls is None else tls.wrap_socket(sock) as spoken:
                self._open = spoken
                request = (
                    f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
                )
                spoken.sendall(request.encode())
                head = b""
                while len(head) < 12:
                    chunk = spoken.recv(4096)
                    if not chunk:
                        return False if head else None
                    head += chunk
        return head[9:12] < b"500"

    def _abort(self) -> None:
        if self._open is not None:
            try:
                self._open.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # It has ended by itself.


def _any_certificate() -> ssl.SSLContext:
    """The service is on this machine, and is asked only whether it answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
