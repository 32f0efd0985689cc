"""The cache's settings change while it works."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aiconsole.onhost.inferd.cache.cache import Cache
from aiconsole.onhost.inferd.cache.entry import Entry
from aiconsole.onhost.inferd.cache.recorder import Recorder
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.reply.answer import Counter
from aiconsole.onhost.inferd.settings import CacheSettings
from aiconsole.onhost.inferd.start_error import StartError

MEMORY = CacheSettings(backend="memory")


async def ask(cache: Cache, name: str, *, finish: str = "stop", chunk_bytes: int = 10) -> str:
    """One request; what the cache said."""
    exchange = Exchange("r", "POST", "/", "", False, prompt_sha256=name)
    question = Ask("text", {"temperature": 0})

    async def compute(recorder: Recorder | None) -> None:
        async def take(_: Any) -> None:
            return

        choice = {"index": 0, "text": "x" * chunk_bytes, "finish_reason": finish}
        chunk = Chunk(b" " * chunk_bytes, {"choices": [choice]})
        counter = Counter(question, 0.0)
        counter.see([chunk])
        if recorder:
            await recorder.tap(take)([chunk])
            recorder.finish(counter)

    async def replay(entry: Entry) -> None:
        assert entry.body

    await cache.answer(question, exchange, replay, compute)
    await asyncio.sleep(0.01)  # an answer is put into the store after it was given
    return exchange.cache


def cache_of(settings: CacheSettings) -> Cache:
    return Cache(settings, "model", Credentials(None))


async def test_sizes_change_and_what_is_kept_stays() -> None:
    cache = cache_of(MEMORY)
    assert [await ask(cache, "a"), await ask(cache, "a")] == ["miss", "hit"]
    cache.configure(MEMORY.model_copy(update={"ttl_s": 5.0, "max_bytes": 2048}))
    assert await ask(cache, "a") == "hit"
    assert cache.status()["max_bytes"] == 2048
    for name in "bcdef":
        await ask(cache, name)
    assert await ask(cache, "a") == "miss"
    await cache.close()


async def test_it_is_turned_off_and_on_again() -> None:
    cache = cache_of(MEMORY)
    await ask(cache, "a")
    cache.configure(CacheSettings())
    assert (await ask(cache, "a"), cache.enabled, cache.up) == ("", False, False)
    cache.configure(MEMORY)
    assert (await ask(cache, "a"), cache.enabled, cache.up) == ("miss", True, True)
    await cache.close()


async def test_a_credential_that_is_missing_changes_nothing(tmp_path: Path) -> None:
    cache = cache_of(MEMORY)
    await ask(cache, "a")
    redis = CacheSettings(backend="redis", redis_url="redis://h", redis_password="none")
    with pytest.raises(StartError):
        cache.configure(redis)
    assert (await ask(cache, "a"), cache.status()["backend"]) == ("hit", "memory")
    await cache.close()


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        ("stop", "hit"),
        ("length", "hit"),
        ("tool_calls", "hit"),
        ("content_filter", "miss"),
        ("", "miss"),
    ],
)
async def test_which_ends_are_kept(finish: str, said: str) -> None:
    cache = cache_of(MEMORY)
    await ask(cache, "a", finish=finish)
    assert await ask(cache, "a", finish=finish) == said
    await cache.close()


@pytest.mark.parametrize(("size", "said"), [(800, "hit"), (2000, "miss"), (100_000, "miss")])
async def test_a_long_answer_is_not_kept(size: int, said: str) -> None:
    cache = cache_of(MEMORY.model_copy(update={"max_entry_bytes": 1024}))
    await ask(cache, "a", chunk_bytes=size)
    assert await ask(cache, "a", chunk_bytes=size) == said
    await cache.close()
