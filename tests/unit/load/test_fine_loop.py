"""Timers finer than epoll's millisecond, in a loop that still does all that asyncio does."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Coroutine
from typing import TypeVar

from aiconsole.load.fine_loop import fine_loop

T = TypeVar("T")


def run(work: Coroutine[None, None, T]) -> T:
    with asyncio.Runner(loop_factory=fine_loop) as runner:
        return runner.run(work)


async def quickest_sleep(seconds: float) -> float:
    found = []
    for _ in range(100):
        began = time.perf_counter()
        await asyncio.sleep(seconds)
        found.append(time.perf_counter() - began)
    return min(found)


def test_a_short_sleep_is_short() -> None:
    # The least of many: a busy machine makes some long, but epoll would make all of them 1 ms.
    assert 0.0002 <= run(quickest_sleep(0.0002)) < 0.0009
    assert asyncio.run(quickest_sleep(0.0002)) > 0.0009


def test_sockets_and_children_work() -> None:
    async def talk() -> bytes:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        asyncio.get_running_loop().call_later(0.01, theirs.send, b"word\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        theirs.close()
        return line

    assert run(talk()) == b"word\n"
