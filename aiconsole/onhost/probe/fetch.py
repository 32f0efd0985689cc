"""GET over one short connection to a service on this host; small, bounded, and with a deadline."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiconsole.onhost.probe.paced import SourceError

Place: TypeAlias = "tuple[str, int] | str"
"""Host and port, or the path of a UNIX socket."""

_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered."""

    status: int
    body: bytes


class SilenceError(SourceError):
    """It takes connections and does not answer."""


class WordlessError(SourceError):
    """It closes the connection without a word, as one does that is spoken to in another way."""


def get_all(
    place: Place, paths: Sequence[str], deadline_s: float, *, tls: bool = False
) -> list[Reply]:
    """Ask for each path in turn on one connection, so that one and the same process answers.

    Fewer replies than paths come back where the service closes the connection between them, as
    one does that is about to end.

    Raises:
        SourceError: No connection, or what came back is not HTTP.
        SilenceError: No whole answer before the deadline.
        WordlessError: It may speak TLS, or not speak it, other than was asked for.
    """
    until_s = time.monotonic() + deadline_s
    try:
        with _connected(place, deadline_s) as plain, _spoken(plain, tls) as connection:
            buffer = bytearray()
            replies: list[Reply] = []
            for path in paths:
                connection.sendall(_request(path, last=path is paths[-1]))
                reply, stays = _reply(connection, buffer, until_s)
                replies.append(reply)
                if not stays:
                    break
            return replies
    except ssl.SSLError as error:
        raise WordlessError("its TLS cannot be understood") from error
    except TimeoutError as error:
        raise SilenceError(f"no answer within {deadline_s:g} s") from error
    except ConnectionResetError as error:
        raise WordlessError(error.strerror or str(error)) from error
    except OSError as error:
        raise SourceError(error.strerror or str(error)) from error


def _connected(place: Place, timeout_s: float) -> socket.socket:
    if isinstance(place, tuple):
        return socket.create_connection(place, timeout=timeout_s)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout_s)
        connection.connect(place)
    except OSError:
        connection.close()
        raise
    return connection


def _spoken(connection: socket.socket, tls: bool) -> socket.socket:
    """The connection, with TLS where that is wanted."""
    if not tls:
        return connection
    # Any certificate does: the service is on this machine, and gets no secret from here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def _request(path: str, *, last: bool) -> bytes:
    after = "close" if last else "keep-alive"
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {after}\r\n\r\n".encode("ascii")


def _reply(connection: socket.socket, buffer: bytearray, until_s: float) -> tuple[Reply, bool]:
    """Read one reply; the flag says whether the connection stays."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        _receive(connection, buffer, until_s)
    status, length, stays = _head(bytes(buffer[:end]))
    del buffer[: end + 4]
    while len(buffer) < length:
        _receive(connection, buffer, until_s)
    body = bytes(buffer[:length])
    del buffer[:length]
    return Reply(status, body), stays


def _head(head: bytes) -> tuple[int, int, bool]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    fields = {name.strip().lower(): value.strip().lower() for name, _, value in pairs}
    parts = first.split(" ", 2)
    length = fields.get("content-length", "")
    if not parts[0].startswith("HTTP/1.") or len(parts) < 2 or not _is_number(parts[1]):
        raise SourceError("what answers there does not speak HTTP")
    if not _is_number(length) or int(length) > _MOST_BYTES:
        raise SourceError("an answer without a length, or a too long one")
    return int(parts[1]), int(length), fields.get("connection") != "close"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 12


def _receive(connection: socket.socket, buffer: bytearray, until_s: float) -> None:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    connection.settimeout(left_s)
    data = connection.recv(65536)
    if not data and not buffer:
        raise WordlessError("it closed the connection without a word")
    if not data:
        raise SourceError("it closed the connection before its answer was whole")
    buffer += data
    if len(buffer) > _MOST_BYTES + 65536:
        raise SourceError("an answer that does not end")
