"""What a client would notice of a swap: probes of the shared address, one each 50 ms."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass

from aiconsole.onhost.keeper.address import reachable, resolve, split

_EACH_S = 0.05


def _unverified() -> ssl.SSLContext:
    """The probe asks whether anybody answers, never who: the address is this host's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_UNVERIFIED = _unverified()


@dataclass(slots=True)
class Noticed:
    """The sum of all probes."""

    probes: int = 0
    failed: int = 0
    longest_wait_s: float = 0.0
    """From connect to the first byte of the answer, of probes that got one."""


class Watch:
    """Probes `GET /health` on a fresh connection each, while the context lasts."""

    def __init__(self, address: str, timeout_s: float, *, tls: bool = False) -> None:
        """Get ready to probe.

        Args:
            address: `host:port` that clients use; empty probes nothing.
            timeout_s: After this a probe without an answer counts as failed.
            tls: What is spoken there now. A release that comes may speak the other way, so an
                answer in either is one.
        """
        self.noticed = Noticed()
        self._target = split(reachable(address)) if address else None
        self._timeout_s = timeout_s
        self._tls = tls
        self._end = threading.Event()
        self._open: socket.socket | None = None
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
        try:
            return self._ask_in(tls=self._tls)
        except TimeoutError:
            raise
        except (OSError, ValueError):
            if self._end.is_set() or not self._ask_in(tls=not self._tls):
                raise
            self._tls = not self._tls
            return True

    def _ask_in(self, *, tls: bool) -> bool:
        """Ask once.

        Raises:
            OSError: Nobody answered.
            ValueError: What came back is not HTTP, as from a socket that speaks TLS.
        """
        assert self._target
        host, port = self._target
        family, place = resolve(f"[{host}]:{port}")
        with contextlib.ExitStack() as opened:
            sock = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            self._open = sock  # Before it connects: a full queue holds it there.
            sock.settimeout(self._timeout_s)
            sock.connect(place)
            if tls:
                sock = opened.enter_context(_UNVERIFIED.wrap_socket(sock))
                self._open = sock
            request = f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
            sock.sendall(request.encode())
            head = b""
            while len(head) < 12:
                chunk = sock.recv(4096)
                if not chunk:
                    break
                head += chunk
        if not head.startswith(b"HTTP/"):
            raise ValueError("no HTTP")
        return len(head) >= 12 and head[9:12] < b"500"

    def _abort(self) -> None:
        if self._open is not None:
            try:
                self._open.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # It has ended by itself.
