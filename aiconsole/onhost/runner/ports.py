"""Whether an address can be listened on here, and who is in the way."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Container
from pathlib import Path

from aiconsole.onhost.keeper.address import resolve, split
from aiconsole.onhost.keeper.owner import find_owner


def address_problem(address: str, own_pids: Container[int]) -> str:
    """Say why `address` could not be listened on; empty where it can.

    Args:
        address: `host:port`.
        own_pids: Processes that hold the service's own socket, which is in nobody's way.
    """
    try:
        family, sockaddr = resolve(address)
    except ValueError as error:
        return str(error)
    port = int(sockaddr[1])
    if os.geteuid() != 0 and port < _first_free_port():
        return f"only root may listen on port {port}; take one from {_first_free_port()} up"
    owner = find_owner(address)
    if owner and not any(pid in own_pids for pid in owner.pids):
        return f"{address} is taken by {owner.program}"
    return _not_of_this_host(family, (sockaddr[0], 0, *sockaddr[2:]), address)


def _not_of_this_host(
    family: socket.AddressFamily, sockaddr: tuple[object, ...], address: str
) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        try:
            attempt.bind(sockaddr)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return f"{split(address)[0]} is no address of this host"
            return f"cannot listen on {address}: {error.strerror}"
    return ""


def _first_free_port() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii")
        return int(text)
    except (OSError, ValueError):
        return 1024
