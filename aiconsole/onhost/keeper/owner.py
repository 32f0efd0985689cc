"""Which program holds a TCP port, as /proc tells it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from aiconsole.onhost.keeper.address import resolve

_LISTEN = "0A"
_TABLES = (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6))
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound


@dataclass(frozen=True, slots=True)
class PortOwner:
    """Who listens on a port."""

    program: str
    """`nginx (pid 812)`, or whose program it is where its name is not visible."""
    pids: tuple[int, ...]
    """Every visible process that holds the socket, lowest first."""
    uid: int


def port_owner(address: str) -> str:
    """Name the program that listens on `address` or on a wildcard over it; empty if it is free."""
    owner = find_owner(address)
    return owner.program if owner else ""


def find_owner(address: str) -> PortOwner | None:
    """Find who listens where `address` would have to be bound.

    Raises:
        ValueError: It is not an address.
    """
    _, sockaddr = resolve(address)
    host, port = str(sockaddr[0]), int(sockaddr[1])
    for table, family in _TABLES:
        for listening, uid, inode in _listeners(table, family, port):
            if listening == host or listening in _WILDCARDS or host in _WILDCARDS:
                return _describe(uid, inode)
    return None


def _listeners(table: str, family: int, port: int) -> list[tuple[str, int, str]]:
    try:
        rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    found = []
    for row in rows:
        fields = row.split()
        place, _, hex_port = fields[1].partition(":")
        if fields[3] == _LISTEN and int(hex_port, 16) == port:
            found.append((_readable(place, family), int(fields[7]), fields[9]))
    return found


def _readable(place: str, family: int) -> str:
    # The kernel prints each 32-bit word in the byte order of the machine.
    words = [int(place[i : i + 8], 16) for i in range(0, len(place), 8)]
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))


def _describe(uid: int, inode: str) -> PortOwner:
    pids = tuple(sorted(_holders(inode)))
    if pids:
        return PortOwner(f"{_program(pids[0])} (pid {pids[0]})", pids, uid)
    name = str(uid)
    with contextlib.suppress(KeyError):
        name = pwd.getpwuid(uid).pw_name
    return PortOwner(f"a program of user {name}", (), uid)


def _holders(inode: str) -> list[int]:
    wanted, found = f"socket:[{inode}]", []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        # A process may end, or belong to somebody else, while it is looked at.
        with contextlib.suppress(OSError):
            for fd in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(fd) == wanted:  # noqa: PTH115 - not a path
                        found.append(int(process.name))
                        break
    return found


def _program(pid: int) -> str:
    name = "a program"
    with contextlib.suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    argv: list[str] = []
    with contextlib.suppress(OSError):
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        argv = raw.decode("utf-8", errors="replace").split("\0")
    if name.startswith(("python", "node", "ruby", "perl", "java")):
        name = f"{name} {_script(argv)}".strip()
    return "".join(c if c.isprintable() else "?" for c in name)[:80]


def _script(argv: list[str]) -> str:
    """The script of an interpreter, and none of its other arguments: they are not ours to show."""
    for flag, value in itertools.pairwise([*argv[1:], ""]):
        if flag in ("-m", "-c"):
            return value if flag == "-m" else ""
        if not flag.startswith("-"):
            return flag
    return ""
