"""Mixed load for long: memory flat, nothing left open, and cancelled requests free their slot.

`python -m tests.bench.soak [MINUTES]`: 5 without an argument. Whole and streamed answers, chat,
embeddings, clients that leave in mid-answer or before the first token, bad requests and wrong
keys, at a rate that leaves the machine room; every tenth of the time one line of readings.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import uvloop

from tests.bench._client import Connection, load, request, until_up
from tests.bench._servers import free_port, inferd_argv, running, settings

_WORKERS = 6
_PAUSE_S = 0.05
_CANCELLED = 10_000
_CANCELLERS = 24
_CACHE = '[cache]\nbackend = "memory"\nmax_bytes = 1_000_000\n'
_LONG = {"prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True, "stream": True}
_SHORT = {"prompt": "Is the web server up?", "max_tokens": 16}


class Mix:
    """What a worker does next, at random."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.done: Counter[str] = Counter()

    async def work(self, end: float) -> None:
        """Until the end."""
        acts = (self._whole, self._stream, self._embed, self._cancel, self._early, self._bad)
        while time.perf_counter() < end:
            act = random.choices(acts, (6, 4, 1, 3, 2, 1))[0]
            self.done[act.__name__.strip("_") + (await act())] += 1
            await asyncio.sleep(_PAUSE_S)

    async def _ask(self, data: bytes) -> str:
        tally = await load(self._port, data, 1, 0.0)
        return "".join(f" {error}" for error in tally.errors)

    async def _whole(self) -> str:
        prompt = f"Is server {random.randrange(200)} up?"
        body = {**_SHORT, "prompt": prompt, "temperature": 0}
        return await self._ask(request("/v1/completions", body))

    async def _stream(self) -> str:
        return await self._ask(request("/v1/completions", {**_SHORT, "stream": True}))

    async def _embed(self) -> str:
        return await self._ask(request("/v1/embeddings", {"input": ["a", "the web server"]}))

    async def _bad(self) -> str:
        return await self._ask(request("/v1/completions", {"prompt": 7}))

    async def _cancel(self) -> str:
        return await leave(self._port, random.uniform(0.01, 0.2))

    async def _early(self) -> str:
        return await leave(self._port, 0.0)


async def leave(port: int, after_s: float) -> str:
    """Ask for a long answer and go away."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    asked = asyncio.ensure_future(connection.ask(request("/v1/completions", _LONG)))
    await asyncio.wait([asked], timeout=after_s or 0.001)
    connection.close()
    try:
        await asked
    except (OSError, ValueError) as error:
        return "" if isinstance(error, ConnectionError) else f" {error}"
    return ""


def _reading(process: psutil.Process, port: int) -> str:
    engine = sum(child.memory_info().rss for child in process.children())
    series = _series(port)
    return (
        f"gateway {process.memory_info().rss / 1e6:6.1f} MB, {process.num_fds():3} descriptors, "
        f"{process.num_threads():2} threads, engine {engine / 1e6:6.1f} MB, "
        f"running {series.get('inferd_requests_running', -1):.0f}, "
        f"waiting {series.get('inferd_requests_waiting', -1):.0f}, "
        f"tasks {series.get('inferd_tasks', -1):.0f}"
    )  # fmt: skip


def _series(port: int) -> dict[str, float]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines if "{" not in name}


async def _engine_busy(port: int) -> float:
    """llama.cpp's own word for the slots at work."""
    async with httpx.AsyncClient(timeout=30) as client:
        headers = {"Authorization": "Bearer k"}
        answer = await client.get(f"http://127.0.0.1:{port}/metrics/engine", headers=headers)
    for line in answer.text.splitlines():
        if line.startswith("llamacpp:requests_processing"):
            return float(line.rpartition(" ")[2])
    return float("nan")


async def _soak(process: psutil.Process, port: int, seconds: float) -> None:
    await until_up(port, request("/v1/completions", _SHORT))
    mix, end = Mix(port), time.perf_counter() + seconds
    workers = [asyncio.create_task(mix.work(end)) for _ in range(_WORKERS)]
    print(f"{seconds / 60:g} minutes of mixed load, {_WORKERS} workers")
    for part in range(10):
        await asyncio.wait(
            workers, timeout=max(0.0, end - seconds * (9 - part) / 10 - time.perf_counter())
        )
        print(f"{(part + 1) * 10:4} %  {_reading(process, port)}", flush=True)
    await asyncio.gather(*workers)
    print(f"asked: {dict(mix.done)}")
    await _cancel_many(process, port)


async def _cancel_many(process: psutil.Process, port: int) -> None:
    began, left = time.perf_counter(), _CANCELLED

    async def one() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await leave(port, random.uniform(0.0, 0.03))

    await asyncio.gather(*(one() for _ in range(_CANCELLERS)))
    print(f"{_CANCELLED} requests cancelled in {time.perf_counter() - began:.0f} s")
    await asyncio.sleep(2.0)
    print(f"2 s later: {_reading(process, port)}, engine at work on {await _engine_busy(port):.0f}")
    alone = await load(port, request("/v1/completions", _SHORT), 1, 1.0)
    print(f"one client then: {alone.per_s:.0f} requests/s, p99 {alone.quantile_ms(0.99):.1f} ms")


def main() -> None:
    """Run it and print what was read."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        room, port = Path(name), free_port()
        settings(room, _CACHE)
        process = stack.enter_context(running(inferd_argv(room, port)))
        uvloop.run(_soak(psutil.Process(process.pid), port, minutes * 60))


if __name__ == "__main__":
    main()
