"""The listening socket: bound by the keeper, accepted from by the slots alone."""

from __future__ import annotations

import errno
import os
import socket

from aiconsole.onhost.keeper.address import resolve
from aiconsole.onhost.keeper.fault import KeeperFault
from aiconsole.onhost.keeper.owner import port_owner

BACKLOG = 4096
"""Connections that the kernel queues while no slot accepts."""


def bind(address: str) -> socket.socket:
    """Listen on `address`, without ever accepting.

    The socket does not block: `O_NONBLOCK` belongs to the description that all slots share, and
    a slot that found it cleared would freeze in `accept`.

    Raises:
        KeeperFault: `bad-address`, `port-taken` with the program's name, or `denied`.
    """
    try:
        family, sockaddr = resolve(address)
    except ValueError as error:
        raise KeeperFault("bad-address", str(error)) from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(sockaddr)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _fault(address, error) from error
    listener.setblocking(False)
    return listener


def adopt(fd: int) -> socket.socket:
    """Take over a listening socket from the process image before."""
    os.set_inheritable(fd, False)
    listener = socket.socket(fileno=fd)
    listener.setblocking(False)
    return listener


def _fault(address: str, error: OSError) -> KeeperFault:
    if error.errno == errno.EADDRINUSE:
        return KeeperFault(
            "port-taken", f"{address} is taken by {port_owner(address) or 'another program'}"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return KeeperFault("denied", f"this user may not listen on {address}: {error.strerror}")
    return KeeperFault("bad-address", f"cannot listen on {address}: {error.strerror}")
