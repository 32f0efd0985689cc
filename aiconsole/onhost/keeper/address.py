"""`host:port` as operators write it, read into what a socket takes."""

from __future__ import annotations

import socket
from typing import Any


def split(address: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port`.

    Raises:
        ValueError: It is not such an address; the text says what was expected.
    """
    host, colon, port = address.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise ValueError(f"expected HOST:PORT, as 127.0.0.1:8000 or [::1]:8000, got {address!r}")
    if not 0 < int(port) < 65536:
        raise ValueError(f"expected a port from 1 to 65535, got {address!r}")
    return host, int(port)


def resolve(address: str) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Find the family and the socket address to bind or connect to.

    Raises:
        ValueError: It is not an address, or its name is unknown on this host.
    """
    host, port = split(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ValueError(f"{host!r} is not known on this host: {error.strerror}") from error
    family, _, _, _, sockaddr = found[0]
    return family, sockaddr


def reachable(address: str) -> str:
    """Return where this machine itself reaches a listener: a wildcard becomes the loopback."""
    host, port = split(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}.get(host, host)  # noqa: S104
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
