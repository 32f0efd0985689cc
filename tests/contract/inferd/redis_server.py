"""A Redis of the test's own: Debian's server on a socket and a port that nobody else uses."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.contract.inferd.running import bound, until


@dataclass
class RedisServer:
    """One server process at a time, always at the same place."""

    room: Path
    port: int
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        return f"unix://{self.room}/redis.sock"

    def start(self, *options: str) -> None:
        """Start it, and wait until it answers."""
        argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port),
                "--unixsocket", str(self.room / "redis.sock"), "--save", "",
                "--appendonly", "no", "--dir", str(self.room), *self.options, *options]  # fmt: skip
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self.answers, "an answer of Redis")

    def answers(self) -> bool:
        """Whether it speaks; a question for a password is an answer too."""
        with self.client() as client:
            try:
                client.ping()
            except redis.AuthenticationError:
                return True
            except redis.RedisError:
                return False
            return True

    @contextlib.contextmanager
    def client(self, **options: Any) -> Iterator[redis.Redis]:
        """A client of its own kind, for looking at what is kept."""
        client = redis.Redis(port=self.port, protocol=2, **options)
        try:
            yield client
        finally:
            client.close()

    def keys(self) -> list[bytes]:
        """Everything that is kept."""
        with self.client() as client:
            found: Any = client.keys()
            return list(found)

    def kill(self) -> None:
        """The end without a word."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """It is there, and does nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.process.pid}/stat")
        deadline = time.monotonic() + 10
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline

    def thaw(self) -> None:
        """It goes on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def redis_at(room: Path, *options: str) -> Iterator[RedisServer]:
    """A server from start to end."""
    with bound() as sock:
        port = sock.getsockname()[1]
    server = RedisServer(room, port, list(options))
    server.start()
    try:
        yield server
    finally:
        server.kill()
