"""A load of HTTP clients over raw sockets, which counts every way in which a request can fail.

    python -m tests.load HOST PORT --clients 50 --keep-alive 0.5

runs until its stdin closes and prints its report as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

COMPLETION = json.dumps({"prompt": "Once", "max_tokens": 4}).encode()


@dataclass(frozen=True, slots=True)
class Target:
    """What every client asks for."""

    host: str
    port: int
    path: str = "/v1/completions"
    body: bytes = COMPLETION
    """Sent by POST; empty for a GET."""
    headers: tuple[str, ...] = ()
    """Whole lines, as `Authorization: Bearer …`."""
    pause_s: float = 0.0
    """Between two requests of one client."""


@dataclass(slots=True)
class Report:
    """What the clients saw."""

    served: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """By kind: `refused`, `reset-kept`, `closed-unanswered-fresh`, `cut`, `timeout`,
    `status-503`…; `kept` is a connection that had served a request before."""
    longest_wait_s: float = 0.0
    """From the beginning of a request, its connect included, to the first byte of its answer."""
    elapsed_s: float = 0.0

    @property
    def failures(self) -> int:
        """All of them."""
        return sum(self.failed.values())


class Load:
    """Clients in a loop, until the context is left.

    async with Load(Target("127.0.0.1", 8000), clients=50) as load: ...
    assert not load.report.failed
    """

    def __init__(
        self,
        target: Target,
        clients: int = 50,
        keep_alive: float = 0.5,
        timeout_s: float = 60.0,
    ) -> None:
        self.target = target
        self.report = Report()
        self._kept = round(clients * keep_alive)
        self._clients = clients
        self._timeout_s = timeout_s
        self._failed: Counter[str] = Counter()
        self.warm = asyncio.Event()
        """Set when as many requests have ended as there are clients."""
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []
        self._began = 0.0

    async def __aenter__(self) -> Load:
        self._began = time.monotonic()
        for number in range(self._clients):
            client = _Client(self.target, keep_alive=number < self._kept)
            self._tasks.append(asyncio.create_task(self._loop(client)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True  # Each client ends its request first: none is cut by the test.
        await asyncio.gather(*self._tasks)
        self.report.failed = dict(self._failed)
        self.report.elapsed_s = time.monotonic() - self._began

    async def _loop(self, client: _Client) -> None:
        while not self._ending:
            try:
                wait_s = await asyncio.wait_for(client.request(), self._timeout_s)
            except Failed as failure:
                self._failed[failure.kind] += 1
                client.close()
                await asyncio.sleep(0.01)
            except TimeoutError:
                self._failed["timeout"] += 1
                client.close()
            else:
                self.report.served += 1
                self.report.longest_wait_s = max(self.report.longest_wait_s, wait_s)
            if self.report.served + self._failed.total() >= self._clients:
                self.warm.set()
            if self.target.pause_s:
                await asyncio.sleep(self.target.pause_s)
        client.close()


class Failed(Exception):  # noqa: N818 - counted, not raised to a caller
    """A request that did not end well."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class _Client:
    def __init__(self, target: Target, *, keep_alive: bool) -> None:
        self._target, self._keep_alive = target, keep_alive
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        connection = "keep-alive" if keep_alive else "close"
        lines = [
            f"{'POST' if target.body else 'GET'} {target.path} HTTP/1.1",
            f"Host: {target.host}:{target.port}",
            f"Connection: {connection}",
            "Content-Type: application/json",
            f"Content-Length: {len(target.body)}",
            *target.headers,
        ]
        self._request = "\r\n".join([*lines, "", ""]).encode() + target.body

    async def request(self) -> float:
        began = time.monotonic()
        which = "kept" if self._writer else "fresh"
        reader, writer = await self._connection()
        try:
            writer.write(self._request)
            await writer.drain()
            first = await reader.read(1)
            wait_s = time.monotonic() - began
            if not first:
                raise Failed(f"closed-unanswered-{which}")
            head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await self._body(head, reader)
        except asyncio.IncompleteReadError:
            raise Failed("cut") from None
        except OSError:
            raise Failed(f"reset-{which}") from None
        if not head.startswith("http/1.1 200"):
            raise Failed(f"status-{head.split(' ', 2)[1]}")
        if not self._keep_alive or "\r\nconnection: close" in head:
            self.close()
        return wait_s

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # A server may close a connection on which nothing was asked; that costs nobody anything.
        if self._reader and (self._reader.at_eof() or self._reader.exception()):
            self.close()
        if not self._reader or not self._writer:
            try:
                self._reader, self._writer = await asyncio.open_connection(
                    self._target.host, self._target.port
                )
            except OSError:
                raise Failed("refused") from None
        return self._reader, self._writer

    async def _body(self, head: str, reader: asyncio.StreamReader) -> None:
        if "\r\ncontent-length:" in head:
            length = int(head.partition("\r\ncontent-length:")[2].split("\r\n", 1)[0])
            await reader.readexactly(length)
        elif "\r\ntransfer-encoding: chunked" in head:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        elif not (await reader.read()).rstrip().endswith(b"data: [DONE]"):
            raise Failed("cut")

    def close(self) -> None:
        if self._writer:
            self._writer.close()
        self._reader = self._writer = None


class LoadProcess:
    """The load in a process of its own, for tests that block."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.report = Report()

    def end(self) -> Report:
        """Let every client end its request; returns what they saw."""
        out, _ = self._process.communicate(timeout=120)
        self.report = Report(**json.loads(out))
        return self.report


@contextlib.contextmanager
def load_process(
    host: str,
    port: int,
    clients: int = 50,
    keep_alive: float = 0.5,
    headers: Sequence[str] = (),
    pause_s: float = 0.0,
) -> Iterator[LoadProcess]:
    """Load an address while the context lasts; the report is there after it."""
    argv = [sys.executable, "-m", "tests.load", host, str(port), "--clients", str(clients),
            "--keep-alive", str(keep_alive), "--pause", str(pause_s)]  # fmt: skip
    for header in headers:
        argv += ["--header", header]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        argv, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()  # Every client has been answered once.
        load = LoadProcess(process)
        try:
            yield load
        finally:
            load.end()


async def _main(target: Target, clients: int, keep_alive: float) -> Report:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    async with Load(target, clients, keep_alive) as load:
        await load.warm.wait()
        print("loading", flush=True)
        loop.add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()
    return load.report


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--keep-alive", type=float, default=0.5)
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two requests")
    given = parser.parse_args()
    aim = Target(given.host, given.port, headers=tuple(given.header), pause_s=given.pause)
    print(json.dumps(asdict(asyncio.run(_main(aim, given.clients, given.keep_alive)))))
