"""inferd beside llama.cpp's own HTTP server: the same model, slots and threads, in one run.

Short rounds alternate between the two, so that other load on the machine falls on both. What
counts are the ratios within a pair of rounds, and of those the median. The model is the built-in
one, or the one that BENCH_MODEL names.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import aiconsole

BUILT_IN = Path(aiconsole.__file__).parent / "bundle" / "models" / "builtin.gguf"
ROUND_S = 1.0
ROUNDS = 9
TOKENS = 16
TTFT_REQUESTS = 150
SLOTS = 8
THREADS = 1

NATIVE = """
import sys, threading, xllamacpp
p = xllamacpp.CommonParams()
p.verbosity = 1
p.model.path = sys.argv[1]; p.hostnames = ["127.0.0.1"]; p.port = int(sys.argv[2]); p.ui = False
p.api_keys = ["k"]; p.n_parallel = int(sys.argv[3]); p.n_ctx = 2048 * p.n_parallel
p.kv_unified = True
p.n_batch = p.n_ubatch = 256
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = int(sys.argv[4])
server = xllamacpp.Server(p)
threading.Event().wait()
"""


@dataclass
class Tally:
    """Requests of one round."""

    total_s: list[float] = field(default_factory=list)
    ttft_s: list[float] = field(default_factory=list)
    errors: int = 0


class Client:
    """A keep-alive HTTP client with next to no cost of its own; it reconnects where it must."""

    def __init__(self, port: int, stream: bool) -> None:
        self._port, self._stream = port, stream
        body = {
            "prompt": "Is the web server up?",
            "max_tokens": TOKENS,
            "stream": stream,
            "ignore_eos": True,
        }
        data = json.dumps(body).encode()
        self._request = (
            b"POST /v1/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer k\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data)
        ) + data
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None

    async def one(self, tally: Tally) -> None:
        began = time.perf_counter()
        try:
            first = await self._exchange()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            tally.errors += 1
            self.close()
            return
        tally.total_s.append(time.perf_counter() - began)
        if first:
            tally.ttft_s.append(first - began)

    async def _exchange(self) -> float:
        if self._writer is None or self._reader is None or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise ValueError(head)
        lower = head.lower()
        first = 0.0
        if b"transfer-encoding: chunked" in lower:
            while size := int(await self._reader.readline(), 16):
                piece = await self._reader.readexactly(size + 2)
                if not first and b"data: {" in piece:
                    first = time.perf_counter()
            await self._reader.readexactly(2)
        else:
            length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
            await self._reader.readexactly(length)
        if (b"server: llama.cpp" in lower and self._stream) or b"connection: close" in lower:
            self.close()  # llama.cpp closes after a stream
        return first

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = self._reader = None


async def load(port: int, clients: int, stream: bool, seconds: float) -> Tally:
    tally, end = Tally(), time.perf_counter() + seconds

    async def loop() -> None:
        client = Client(port, stream)
        while time.perf_counter() < end:
            await client.one(tally)
        client.close()

    await asyncio.gather(*(loop() for _ in range(clients)))
    return tally


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))] if ordered else float("nan")


async def compare(ports: dict[str, int], clients: int, stream: bool) -> dict[str, object]:
    rounds: dict[str, list[Tally]] = {name: [] for name in ports}
    for turn in range(ROUNDS):
        for name in sorted(ports, reverse=bool(turn % 2)):
            rounds[name].append(await load(ports[name], clients, stream, ROUND_S))
    found: dict[str, object] = {"clients": clients, "stream": stream}
    rate: dict[str, float] = {}
    for name, tallies in rounds.items():
        rate[name] = statistics.median(len(t.total_s) / ROUND_S for t in tallies)
        totals = [s for t in tallies for s in t.total_s]
        found[name] = {
            "rps": round(rate[name], 1),
            "p50_ms": round(quantile(totals, 0.5) * 1000, 2),
            "p99_ms": round(quantile(totals, 0.99) * 1000, 2),
            "errors": sum(t.errors for t in tallies),
        }
    pairs = list(zip(rounds["inferd"], rounds["llama.cpp"], strict=True))
    found["ratio"] = round(statistics.median(len(a.total_s) / len(b.total_s) for a, b in pairs), 3)
    found["p99_ratio"] = round(
        statistics.median(quantile(a.total_s, 0.99) / quantile(b.total_s, 0.99) for a, b in pairs),
        3,
    )
    return found


async def first_token(ports: dict[str, int]) -> dict[str, object]:
    tallies = {name: Tally() for name in ports}
    clients = {name: Client(port, True) for name, port in ports.items()}
    for _ in range(TTFT_REQUESTS):
        for name, client in clients.items():
            await client.one(tallies[name])
    for client in clients.values():
        client.close()
    p50 = {name: quantile(t.ttft_s, 0.5) * 1000 for name, t in tallies.items()}
    later = p50["inferd"] - p50["llama.cpp"]
    return {**{f"{name}_ms": round(v, 2) for name, v in p50.items()}, "later_ms": round(later, 2)}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def start(room: Path, model: Path) -> tuple[dict[str, int], list[subprocess.Popen[bytes]]]:
    ports = {"llama.cpp": free_port(), "inferd": free_port()}
    digest = sha256(b"k").hexdigest()
    keys = {
        "keys": [
            {"id": "b", "label": "bench", "sha256": digest, "created_unix_s": 0},
        ]
    }
    (room / "keys.json").write_text(json.dumps(keys))
    (room / "settings.toml").write_text(
        f'[model]\nname = "bench"\npath = "{model}"\n'
        f"[engine]\nslots = {SLOTS}\nthreads = {THREADS}\n"
        f'[auth]\nrequired = true\nkeys_file = "{room}/keys.json"\n'
    )
    audit = (room / "audit.log").open("wb")
    native = [
        sys.executable,
        "-c",
        NATIVE,
        str(model),
        str(ports["llama.cpp"]),
        str(SLOTS),
        str(THREADS),
    ]
    ours = [
        sys.executable, "-m", "aiconsole.onhost.inferd", "--settings", str(room / "settings.toml"),
        "--run-dir", str(room), "--listen", f"127.0.0.1:{ports['inferd']}",
    ]  # fmt: skip
    return ports, [
        subprocess.Popen(native, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
        subprocess.Popen(ours, stdout=audit, stderr=subprocess.DEVNULL),
    ]


async def measure(ports: dict[str, int]) -> dict[str, object]:
    warm = {name: await until_up(port) for name, port in ports.items()}
    assert all(warm.values())
    return {
        "first_token_1_client": await first_token(ports),
        "load": [
            await compare(ports, clients, stream)
            for stream in (False, True)
            for clients in (8, 32)
        ],
    }  # fmt: skip


async def until_up(port: int) -> bool:
    for _ in range(200):
        tally = await load(port, 1, False, 0.05)
        if tally.total_s:
            return True
        await asyncio.sleep(0.05)
    return False


def main() -> None:
    """Print the comparison as JSON."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        room = Path(name)
        model = Path(os.environ.get("BENCH_MODEL") or BUILT_IN)
        ports, processes = start(room, model)
        try:
            print(json.dumps(asyncio.run(measure(ports)), indent=1))
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(10)


if __name__ == "__main__":
    main()
