"""The datagram socket on which a slot tells how it is: `READY=1`, `STATUS=…`, `STOPPING=1`."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

MAX_PATH_BYTES = 107
"""What the kernel takes as the path of a UNIX socket."""


def open_notify(path: str) -> socket.socket:
    """Bind the socket anew; a leftover file of that name is replaced."""
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(path)
    Path(path).chmod(0o600)
    return sock


def adopt_notify(fd: int) -> socket.socket:
    """Take over the socket from the process image before."""
    os.set_inheritable(fd, False)
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


def receive(sock: socket.socket) -> list[tuple[str, str]]:
    """Read every message that is there, as pairs of name and value in the order of arrival."""
    pairs: list[tuple[str, str]] = []
    while True:
        try:
            message = sock.recv(4096)
        except BlockingIOError:
            return pairs
        for line in message.decode("utf-8", errors="replace").splitlines():
            name, equals, value = line.partition("=")
            if equals:
                pairs.append((name, value))
