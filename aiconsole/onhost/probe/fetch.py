"""GET over one short connection to a service on this host; small, bounded, and with a deadline."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from aiconsole.onhost.probe.paced import SourceError

_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered."""

    status: int
    body: bytes


class SilenceError(SourceError):
    """It takes connections and does not answer."""


def get_all(address: tuple[str, int], paths: list[str], deadline_s: float) -> list[Reply]:
    """Ask for each path in turn on one connection, so that one and the same process answers.

    Raises:
        SourceError: No connection, or what came back is not HTTP.
        SilenceError: No whole answer before the deadline.
    """
    until_s = time.monotonic() + deadline_s
    try:
        with socket.create_connection(address, timeout=deadline_s) as connection:
            buffer = bytearray()
            replies = []
            for path in paths:
                last = path is paths[-1]
                connection.sendall(_request(path, address[0], last=last))
                replies.append(_reply(connection, buffer, until_s))
            return replies
    except TimeoutError as error:
        raise SilenceError(f"no answer within {deadline_s:g} s") from error
    except OSError as error:
        raise SourceError(error.strerror or str(error)) from error


def _request(path: str, host: str, *, last: bool) -> bytes:
    after = "close" if last else "keep-alive"
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {after}\r\n\r\n".encode("ascii")


def _reply(connection: socket.socket, buffer: bytearray, until_s: float) -> Reply:
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        _receive(connection, buffer, until_s)
    status, length = _head(bytes(buffer[:end]))
    del buffer[: end + 4]
    while len(buffer) < length:
        _receive(connection, buffer, until_s)
    body = bytes(buffer[:length])
    del buffer[:length]
    return Reply(status, body)


def _head(head: bytes) -> tuple[int, int]:
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in
              (line.partition(":") for line in lines)}  # fmt: skip
    parts = first.split(" ", 2)
    length = fields.get("content-length", "")
    if not parts[0].startswith("HTTP/1.") or len(parts) < 2 or not parts[1].isdecimal():
        raise SourceError("what answers there does not speak HTTP")
    if not length.isdecimal() or int(length) > _MOST_BYTES:
        raise SourceError("an answer without a length, or a too long one")
    return int(parts[1]), int(length)


def _receive(connection: socket.socket, buffer: bytearray, until_s: float) -> None:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    connection.settimeout(left_s)
    data = connection.recv(65536)
    if not data:
        raise SourceError("it closed the connection before its answer was whole")
    buffer += data
    if len(buffer) > _MOST_BYTES + 65536:
        raise SourceError("an answer that does not end")
