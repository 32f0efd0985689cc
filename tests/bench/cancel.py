"""How soon a slot is free when its client leaves: whole and streamed answers, and a long prompt.

A short request that came meanwhile waits for the only slot. What is told is the time from the
client's leaving to the end of the short request, less what that takes on a free slot.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop

from tests.bench._client import Connection, load, request, until_up
from tests.bench._servers import free_port, inferd_argv, running, settings
from tests.fixtures import tiny_gguf

_TIMES = 15
_SHORT = request("/v1/completions", {"prompt": "hi", "max_tokens": 1})
_LONG = {"prompt": "hi", "max_tokens": 8000, "ignore_eos": True}
_CASES: dict[str, dict[str, Any]] = {
    "whole answer": _LONG,
    "streamed answer": {**_LONG, "stream": True},
    "prompt of 2,500 words": {"prompt": "ab " * 2500, "max_tokens": 1},
}


async def _free_after_s(port: int, data: bytes) -> float:
    loop = asyncio.get_running_loop()
    _, leaver = await loop.create_connection(Connection, "127.0.0.1", port)
    asked = asyncio.ensure_future(leaver.ask(data))
    await asyncio.sleep(0.05)
    waiting = asyncio.ensure_future(load(port, _SHORT, 1, 0.0))
    await asyncio.sleep(0.05)
    done_before = asked.done() or waiting.done()
    left = time.perf_counter()
    leaver.close()
    await waiting
    took_s = time.perf_counter() - left
    await asyncio.wait([asked])
    asked.exception()
    return float("nan") if done_before else took_s


async def _measure(port: int) -> None:
    await until_up(port, _SHORT)
    alone = await load(port, _SHORT, 1, 1.0)
    alone_s = statistics.median(alone.total_s)
    print(f"a short request alone takes {alone_s * 1000:.1f} ms")
    for title, body in _CASES.items():
        found = []
        for turn in range(_TIMES):  # no two prompts alike: what is known already costs nothing
            data = request("/v1/completions", {**body, "prompt": f"{turn} {body['prompt']}"})
            found.append(await _free_after_s(port, data) - alone_s)
        known = sorted(value for value in found if value == value)
        if not known:
            print(f"{title:<24} was over before its client left")
            continue
        print(
            f"{title:<24} slot free after {statistics.median(known) * 1000:>7.1f} ms, "
            f"at most {known[-1] * 1000:.1f} ms ({len(known)} of {_TIMES} tries)"
        )


def main() -> None:
    """Print it for each case."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        room, port = Path(name), free_port()
        model = tiny_gguf.write(room / "slow.gguf", tiny_gguf.SLOW)
        path = settings(room)
        text = path.read_text().replace("slots = 8", "slots = 1")
        text = text.replace("context_tokens = 2048", "context_tokens = 8192")
        path.write_text(text.replace(text.split('path = "')[1].split('"')[0], str(model), 1))
        stack.enter_context(running(inferd_argv(room, port)))
        uvloop.run(_measure(port))


if __name__ == "__main__":
    main()
