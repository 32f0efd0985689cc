"""A real HTTP server for files that misbehaves as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Behaviour = Callable[["Handler"], None]


@dataclass
class Asked:
    """One request as it came."""

    path: str
    headers: dict[str, str]


@dataclass
class FileServer:
    """What the server gives, by path; `script` comes before it, one behaviour a request."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    script: list[Behaviour] = field(default_factory=list)
    routes: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def ranges(self) -> list[str]:
        """The Range of every request; empty for a request of the whole."""
        return [asked.headers.get("range", "") for asked in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's script says, else with the file."""

    protocol_version = "HTTP/1.1"
    owner: FileServer

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.asked.append(Asked(self.path, headers))
        plain = urlsplit(self.path).path
        with suppress(ConnectionError):
            if self.owner.script:
                self.owner.script.pop(0)(self)
            elif plain in self.owner.routes:
                self.owner.routes[plain](self)
            else:
                self.give_file()

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)

    @property
    def content(self) -> bytes:
        return self.owner.files[urlsplit(self.path).path]

    def give_file(self, most_bytes: int | None = None, *, block_s: float = 0.0) -> None:
        """Give the file as a good server does; `most_bytes` cuts the line after so many."""
        plain = urlsplit(self.path).path
        if plain not in self.owner.files:
            self.give(404, b"no such file")
            return
        content, etag = self.content, self.owner.etags.get(plain, "")
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        start = int(asked[1]) if asked and condition in (None, etag) else 0
        if asked and start >= len(content) and condition in (None, etag):
            self.give(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response(206 if start else 200)
        if start:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:] if most_bytes is None else content[start : start + most_bytes]
        for at in range(0, len(rest), 64 * 1024):
            self.wfile.write(rest[at : at + 64 * 1024])
            time.sleep(block_s)
        if most_bytes is not None:
            self.cut()

    def give(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def give_json(self, document: Any) -> None:
        self.give(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def cut(self) -> None:
        """End the connection in the middle of the answer."""
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Keep the tests' output quiet."""


def cut_after(count: int) -> Behaviour:
    return lambda handler: handler.give_file(count)


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Behaviour:
    return lambda handler: handler.give(code, body, headers)


@contextmanager
def serving() -> Iterator[FileServer]:
    """Serve on a port of its own until the end."""
    owner = FileServer()
    handler = type("OwnHandler", (Handler,), {"owner": owner})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    owner.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield owner
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
