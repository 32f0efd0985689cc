"""Answers that are given again beside the same ones computed anew, by one daemon in one run.

Short rounds alternate between the two, so that other load on the machine falls on both. The
client runs on the same cores: `gateway_ms` is the daemon's own CPU time for one answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.inferd import BUILT_IN, Client, Tally, quantile
from tests.contract.inferd.redis_server import redis_at
from tests.contract.inferd.running import Running, daemon, settings_text

ROUND_S = 1.0
ROUNDS = 5
CLIENTS = 8
TOKENS = 16
_TICKS = os.sysconf("SC_CLK_TCK")


class ChatClient(Client):
    """Asks one question, whose answer may be kept or not."""

    def __init__(self, port: int, *, stream: bool, kept: bool) -> None:
        super().__init__(port, stream)
        body = {
            "messages": [{"role": "user", "content": "Is the web server up?"}],
            "temperature": 0, "max_tokens": TOKENS, "ignore_eos": True,
            "stream": stream, "cache": kept,
        }  # fmt: skip
        data = json.dumps(body).encode()
        self._request = (
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data)
        ) + data


def cpu_s(running: Running) -> float:
    """CPU time of the gateway so far."""
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def one_round(running: Running, *, stream: bool, kept: bool) -> tuple[Tally, float]:
    port = int(running.url.rpartition(":")[2])
    tally, end, began_cpu_s = Tally(), time.perf_counter() + ROUND_S, cpu_s(running)

    async def ask() -> None:
        client = ChatClient(port, stream=stream, kept=kept)
        while time.perf_counter() < end:
            await client.one(tally)
        client.close()

    await asyncio.gather(*(ask() for _ in range(CLIENTS)))
    return tally, cpu_s(running) - began_cpu_s


async def compare(running: Running, *, stream: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"stream": stream, "clients": CLIENTS}
    rounds: dict[bool, list[tuple[Tally, float]]] = {True: [], False: []}
    for turn in range(ROUNDS):
        for kept in (turn % 2 == 0, turn % 2 != 0):
            rounds[kept].append(await one_round(running, stream=stream, kept=kept))
    for kept, name in ((True, "kept"), (False, "computed")):
        totals = [s for tally, _ in rounds[kept] for s in tally.total_s]
        found[name] = {
            "rps": round(statistics.median(len(t.total_s) / ROUND_S for t, _ in rounds[kept]), 1),
            "p50_ms": round(quantile(totals, 0.5) * 1000, 2),
            "p99_ms": round(quantile(totals, 0.99) * 1000, 2),
            "gateway_ms": round(1000 * sum(c for _, c in rounds[kept]) / max(1, len(totals)), 3),
            "errors": sum(tally.errors for tally, _ in rounds[kept]),
        }
    found["ratio"] = round(found["kept"]["rps"] / max(0.1, found["computed"]["rps"]), 1)
    return found


async def measure(running: Running) -> list[dict[str, Any]]:
    return [await compare(running, stream=stream) for stream in (False, True)]


def main() -> None:
    """Print the comparison as JSON."""
    model = Path(os.environ.get("BENCH_MODEL") or BUILT_IN)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        tables = {"memory": 'backend = "memory"'}
        if shutil.which("redis-server"):
            server = stack.enter_context(redis_at(Path(name)))
            tables["redis"] = f'backend = "redis"\nredis_url = "{server.url}"'
        found = {}
        for backend, table in tables.items():
            room = Path(name) / backend
            room.mkdir()
            with daemon(room, settings_text(model) + f"\n[cache]\n{table}\n") as running:
                found[backend] = asyncio.run(measure(running.until_ready()))
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
