"""A port of loopback for a server that is not told one by its socket, and whose it became."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

_LISTENING = "0A"
_ROOT = 0
_BEGIN = 16384
_USUAL_END = 32768
_TRIES = 100


def free_port(range_file: Path = Path("/proc/sys/net/ipv4/ip_local_port_range")) -> int:
    """A port that nobody uses at any address; somebody else may still be faster.

    It lies below those that the kernel hands to outgoing connections: a server may take minutes
    to listen, and on a busy machine one of them would have the port by then.
    """
    try:
        end = int(range_file.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        end = _USUAL_END
    for _ in range(_TRIES if end > _BEGIN else 0):
        if port := _bindable(_BEGIN + secrets.randbelow(end - _BEGIN)):
            return port
    return _bindable(0)


def _bindable(port: int) -> int:
    """The port, or for 0 one that the kernel chooses; 0 where it is taken."""
    with socket.socket() as sock:
        try:
            sock.bind(("", port))
        except OSError:
            return 0
        return int(sock.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Holder:
    """Who listens on a port."""

    uid: int
    loopback: bool
    """Whether it can be reached from this machine alone."""

    @property
    def stranger(self) -> bool:
        """Whether it belongs to another user, who would be handed what our clients ask."""
        return self.uid not in (os.getuid(), _ROOT)


def holders(port: int, proc: Path = Path("/proc/net")) -> list[Holder]:
    """All that listen on it, at whatever address."""
    found = []
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            address, _, number = fields[1].rpartition(":")
            if fields[3] == _LISTENING and int(number, 16) == port:
                found.append(Holder(int(fields[7]), _is_loopback(address)))
    return found


def _is_loopback(address: str) -> bool:
    """The kernel writes addresses as words of its own byte order."""
    packed = b"".join(
        int(address[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(address), 8)
    )
    if len(packed) == 4:
        return packed[0] == 127
    mapped = packed[:12] == bytes(10) + b"\xff\xff"
    return packed == bytes(15) + b"\x01" or (mapped and packed[12] == 127)
