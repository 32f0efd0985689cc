"""Bounds and order of the answers in memory."""

from __future__ import annotations

import os
import tracemalloc

from aiconsole.onhost.inferd.cache.entry import Entry
from aiconsole.onhost.inferd.cache.memory import OVERHEAD_BYTES, MemoryStore


def entry(size: int = 360) -> Entry:
    return Entry(os.urandom(size), 1, 1, "stop")


async def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    store = MemoryStore(3 * (OVERHEAD_BYTES + 360))
    for name in (b"a", b"b", b"c"):
        await store.put(name, entry(), 60)
    assert await store.get(b"a")
    await store.put(b"d", entry(), 60)
    assert [bool(await store.get(name)) for name in (b"a", b"b", b"c", b"d")] == [1, 0, 1, 1]
    store.resize(OVERHEAD_BYTES + 360)
    assert [bool(await store.get(name)) for name in (b"a", b"b", b"c", b"d")] == [0, 0, 0, 1]
    assert store.used_bytes == OVERHEAD_BYTES + 360


async def test_what_never_fits_drives_nobody_out() -> None:
    store = MemoryStore(4 * OVERHEAD_BYTES)
    await store.put(b"a", entry(10), 60)
    await store.put(b"b", entry(4 * OVERHEAD_BYTES), 60)
    assert await store.get(b"a")
    assert await store.get(b"b") is None


async def test_time_by_the_clock() -> None:
    now = 0.0
    store = MemoryStore(10_000, clock=lambda: now)
    await store.put(b"a", entry(), 10)
    now = 9.9
    assert await store.get(b"a")
    now = 10.0
    assert await store.get(b"a") is None
    assert store.used_bytes == 0


async def test_it_takes_no_more_memory_than_it_says() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        store = MemoryStore(2_000_000)
        for _ in range(20_000):
            await store.put(os.urandom(32), entry(50), 60)
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 1_900_000 < store.used_bytes <= 2_000_000
    assert used <= store.used_bytes
