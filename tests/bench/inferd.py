"""inferd beside llama.cpp's own HTTP server: the same model, slots and threads, in one run.

inferd has everything on: keys, rates, quotas, metrics, audit to a file. Short rounds alternate
between the two, so that other load on the machine falls on both. What counts are the ratios
within a pair of rounds, and of those the median.
"""

from __future__ import annotations

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop

from tests.bench._client import Tally, load, quantile, request, until_up
from tests.bench._servers import (
    free_port,
    inferd_argv,
    native_argv,
    running,
    settings,
)

ROUND_S = 1.5
ROUNDS = 9
FIRST_TOKENS = 200
_ASK = {"prompt": "Is the web server up?", "max_tokens": 16, "ignore_eos": True}
WHOLE = request("/v1/completions", _ASK)
STREAMED = request("/v1/completions", {**_ASK, "stream": True})


async def _compare(ours: int, theirs: int, clients: int, stream: bool) -> None:
    data = STREAMED if stream else WHOLE
    pairs: list[tuple[Tally, Tally]] = []
    for turn in range(ROUNDS):
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        found = {}
        for port in order:
            closes = stream and port == theirs
            found[port] = await load(port, data, clients, ROUND_S, closes=closes)
        pairs.append((found[ours], found[theirs]))
    mine, other = ([pair[i] for pair in pairs] for i in (0, 1))
    rate = statistics.median(a.per_s / b.per_s for a, b in pairs)
    p99 = statistics.median(a.quantile_ms(0.99) / b.quantile_ms(0.99) for a, b in pairs)
    kind = "streamed" if stream else "whole"
    errors = sum((t.errors for t in (*mine, *other)), start=type(mine[0].errors)())
    print(
        f"{kind:<9}{clients:>4} clients  {_rate(mine):>7.0f} of {_rate(other):>6.0f} requests/s "
        f"= {rate:.2f}   p99 {_p99(mine):>7.1f} of {_p99(other):>7.1f} ms = {p99:.2f}"
        f"{f'   errors {dict(errors)}' if errors else ''}",
        flush=True,
    )


def _rate(tallies: list[Tally]) -> float:
    return statistics.median(tally.per_s for tally in tallies)


def _p99(tallies: list[Tally]) -> float:
    return statistics.median(tally.quantile_ms(0.99) for tally in tallies)


async def _first_token(ours: int, theirs: int) -> None:
    found: dict[int, list[float]] = {ours: [], theirs: []}
    for turn in range(FIRST_TOKENS):
        for port in (ours, theirs) if turn % 2 else (theirs, ours):
            found[port] += (await load(port, STREAMED, 1, 0.0, closes=True)).first_s
    p50 = {port: quantile(values, 0.5) * 1000 for port, values in found.items()}
    print(
        f"first token, 1 client: {p50[ours]:.2f} ms, llama.cpp {p50[theirs]:.2f} ms:"
        f" {p50[ours] - p50[theirs]:+.2f} ms"
    )


async def _measure(ours: int, theirs: int) -> None:
    for port in (ours, theirs):
        await until_up(port, WHOLE)
        await load(port, WHOLE, 8, 1.0)
    await _first_token(ours, theirs)
    for stream in (False, True):
        for clients in (8, 32):
            await _compare(ours, theirs, clients, stream)


def main() -> None:
    """Print the comparison."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        room, ours, theirs = Path(name), free_port(), free_port()
        settings(room)
        stack.enter_context(running(native_argv(theirs)))
        stack.enter_context(running(inferd_argv(room, ours)))
        print("inferd (everything on) beside llama.cpp's own HTTP, 16 tokens a request")
        uvloop.run(_measure(ours, theirs))


if __name__ == "__main__":
    main()
