"""The sockets a daemon listens on: handed over as fd 3, opened by hand, and the admin socket."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from pathlib import Path

from aiconsole.onhost.inferd.start_error import StartError

_FIRST_FD = 3
_PATH_LIMIT_BYTES = 107


def handed_over() -> socket.socket | None:
    """The socket of a service manager (`LISTEN_FDS`), or None without one."""
    told_pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not count or (told_pid and told_pid != str(os.getpid())):
        return None
    try:
        if count != "1" or not stat.S_ISSOCK(os.fstat(_FIRST_FD).st_mode):
            raise StartError("The handed-over socket is wrong", f"LISTEN_FDS={count}")
    except OSError as error:
        raise StartError("The handed-over socket is wrong", "fd 3 is not open") from error
    os.set_inheritable(_FIRST_FD, False)
    sock = socket.socket(fileno=_FIRST_FD)
    sock.setblocking(False)
    return sock


def listen_on(address: str) -> socket.socket:
    """Bind `host:port`, for running by hand."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise StartError(
            "The address cannot be used", f"{address!r} is not host:port", permanent=True
        )
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        sock = socket.socket(found[0], socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(found[4])
    except OSError as error:
        raise StartError(
            "The address cannot be used", f"{address}: {error.strerror or error}"
        ) from error
    sock.setblocking(False)
    return sock


def admin_socket(run_dir: Path) -> socket.socket:
    """`admin.sock`, which only its owner may use: the file mode is the lock."""
    path = run_dir / "admin.sock"
    if len(os.fsencode(path)) > _PATH_LIMIT_BYTES:
        raise StartError(
            "The run directory's path is too long", f"{path}: a socket's path ends at 107 bytes",
            permanent=True,
        )  # fmt: skip
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)  # born 0600: there is no moment in which others could connect
    try:
        path.unlink(missing_ok=True)
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise StartError("The admin socket cannot be made", f"{path}: {error.strerror}") from error
    finally:
        os.umask(mask)
    return sock


def is_open_to_all(sock: socket.socket) -> bool:
    """Whether others than this machine can reach it."""
    if sock.family == socket.AF_UNIX:
        return False
    address = ipaddress.ip_address(sock.getsockname()[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_loopback
