"""inferd beside LiteLLM's proxy: the same llama.cpp server and model behind each, in one run.

LiteLLM is installed once into a cache of its own, from the package index. It stands in front of
llama.cpp's HTTP server; inferd has its engine as always. Both ask for a key.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import uvloop

from tests.bench._client import Tally, load, request, until_up
from tests.bench._servers import (
    free_port,
    inferd_argv,
    litellm_argv,
    native_argv,
    running,
    settings,
)

_ROUND_S = 10.0
_CLIENTS = 8
_ASK = {
    "model": "bench",
    "messages": [{"role": "user", "content": "Is the web server up?"}],
    "max_tokens": 16,
}


def main() -> None:
    """Print throughput, latency, memory and time to start of each, and the ratios."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        room, native, theirs, ours = Path(name), free_port(), free_port(), free_port()
        settings(room)
        stack.enter_context(running(native_argv(native)))
        uvloop.run(until_up(native, request("/v1/chat/completions", _ASK)))
        ours_s, mine = _measure(stack, inferd_argv(room, ours), ours, "k")
        theirs_s, other = _measure(stack, litellm_argv(room, theirs, native), theirs, "sk-bench")
        alone = uvloop.run(load(native, request("/v1/chat/completions", _ASK), _CLIENTS, 5.0))
    print(f"{_CLIENTS} clients, chat of 16 tokens")
    print(f"{'':<12}{'requests/s':>12}{'p99':>12}{'memory':>12}{'start':>10}")
    for title, start_s, (tally, mb) in (("inferd", ours_s, mine), ("LiteLLM", theirs_s, other)):
        print(f"{title:<12}{tally.per_s:>12.0f}{tally.quantile_ms(0.99):>9.0f} ms{mb:>9.0f} MB"
              f"{start_s:>8.2f} s   {dict(tally.errors) or ''}")  # fmt: skip
    print(f"llama.cpp alone{alone.per_s:>9.0f}{alone.quantile_ms(0.99):>9.0f} ms")
    print(
        f"inferd / LiteLLM: throughput {mine[0].per_s / other[0].per_s:.1f}, "
        f"memory {mine[1] / other[1]:.2f}, start {ours_s / theirs_s:.2f}"
    )


def _measure(
    stack: ExitStack, argv: list[str], port: int, key: str
) -> tuple[float, tuple[Tally, float]]:
    """Start one; seconds to its first answer, its load, and the memory of the gateway in MB."""
    data = request("/v1/chat/completions", _ASK, key)
    began = time.perf_counter()
    process = stack.enter_context(running(argv))
    uvloop.run(until_up(port, data))
    start_s = time.perf_counter() - began
    uvloop.run(load(port, data, _CLIENTS, 1.0))
    tally = uvloop.run(load(port, data, _CLIENTS, _ROUND_S))
    return start_s, (tally, psutil.Process(process.pid).memory_info().rss / 1e6)


if __name__ == "__main__":
    main()
