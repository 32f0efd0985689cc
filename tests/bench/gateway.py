"""The gateway alone, on one core: an engine that costs nothing, and answers from the cache.

The daemon is bound to one core and the clients to the other, everything is on (keys, rates,
quotas, metrics, audit to a file). What is cached is compared with the same request computed by
the built-in model.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil
import uvloop

from tests.bench._client import Tally, load, request, until_up
from tests.bench._servers import free_port, inferd_argv, running, settings

_ROUND_S = 5.0
_CLIENTS = 32
_ASK = {"prompt": "Is the web server up?", "max_tokens": 16, "temperature": 0, "ignore_eos": True}
_CACHE = '[cache]\nbackend = "memory"\n'


def main() -> None:
    """Print requests a second of each."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    null = _serve("tests.fixtures.null_inferd", "", {cores[0]})
    null_streamed = _serve("tests.fixtures.null_inferd", "", {cores[0]}, stream=True)
    cached = _serve("aiconsole.onhost.inferd", _CACHE, {cores[0]})
    cached_streamed = _serve("aiconsole.onhost.inferd", _CACHE, {cores[0]}, stream=True)
    os.sched_setaffinity(0, set(cores))
    computed = _serve("aiconsole.onhost.inferd", "", set(cores))
    print(f"{_CLIENTS} clients in a closed loop, the daemon on one core with everything on")
    for title, tally in (
        ("null engine, whole", null),
        ("null engine, streamed", null_streamed),
        ("from the cache, whole", cached),
        ("from the cache, streamed", cached_streamed),
        ("computed (built-in model, 16 tokens, all cores)", computed),
    ):
        print(
            f"{title:<50}{tally.per_s:>8.0f} requests/s   p50 {tally.quantile_ms(0.5):>6.1f} ms"
            f"   p99 {tally.quantile_ms(0.99):>6.1f} ms   {dict(tally.errors) or ''}"
        )
    print(f"cached / computed: {cached.per_s / computed.per_s:.1f}")


def _serve(module: str, more: str, cores: set[int], *, stream: bool = False) -> Tally:
    data = request("/v1/completions", {**_ASK, "stream": stream})
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        room, port = Path(name), free_port()
        settings(room, more)
        process = stack.enter_context(running(inferd_argv(room, port, module)))

        async def measure() -> Tally:
            await until_up(port, data)
            tree = [psutil.Process(process.pid)]
            for one in [*tree, *tree[0].children(recursive=True)]:
                for thread in one.threads():
                    os.sched_setaffinity(thread.id, cores)
            await load(port, data, _CLIENTS, 1.0)
            return await load(port, data, _CLIENTS, _ROUND_S)

        return uvloop.run(measure())


if __name__ == "__main__":
    main()
