"""Answers kept in Redis, and a daemon that does not care when Redis is gone."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.inferd.redis_server import RedisServer
from tests.contract.inferd.running import Running, daemon, settings_text, until
from tests.contract.inferd.scrape import Scrape

CHAT = "/v1/chat/completions"
SAID = "x-inferd-cache"


def keeping(model: Path, server: RedisServer, more: str = "", patience_s: float = 5.0) -> str:
    cache = f'[cache]\nbackend = "redis"\nredis_url = "{server.url}"\n{more}\n'
    cache += f"redis_timeout_s = {patience_s}\n"  # a busy machine is not a dead Redis
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return settings_text(model, more=f'sha256 = "{digest}"') + cache


def ask(name: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": name}]
    return {"messages": messages, "max_tokens": 4, "temperature": 0, **more}


def said(running: Running, name: str, **more: Any) -> str:
    answer = httpx.post(running.url + CHAT, json=ask(name, **more), timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.headers[SAID]


@pytest.fixture
def running(room: Path, tiny_model: Path, redis_server: RedisServer) -> Iterator[Running]:
    with daemon(room, keeping(tiny_model, redis_server)) as running:
        yield running.until_ready()


def test_two_slots_give_each_others_answers(
    room: Path, tiny_model: Path, redis_server: RedisServer, running: Running
) -> None:
    first = httpx.post(running.url + CHAT, json=ask("q"))
    assert first.headers[SAID] == "miss"
    until(lambda: len(redis_server.keys()) == 1, "the answer in Redis")
    (name,) = redis_server.keys()
    with redis_server.client() as client:
        left_ms: Any = client.pttl(name)
        assert 3_500_000 < left_ms <= 3_600_000
    with daemon(room, keeping(tiny_model, redis_server), slot="b") as other:
        other.until_ready()
        again = httpx.post(other.url + CHAT, json=ask("q"))
        assert (again.headers[SAID], again.content) == ("hit", first.content)
        assert said(other, "q", stream=True) == "hit"
    status = running.status()["cache"]
    assert (status["backend"], status["up"], status["fault"]) == ("redis", True, "")


def test_foreign_values_are_computed_anew(redis_server: RedisServer, running: Running) -> None:
    assert said(running, "q") == "miss"
    until(lambda: len(redis_server.keys()) == 1, "the answer in Redis")
    with redis_server.client() as client:
        (name,) = redis_server.keys()
        client.set(name, b'{"choices":[{"message":{"content":"not ours"}}]}')
    assert said(running, "q") == "miss"
    until(lambda: said(running, "q") == "hit", "the answer in Redis again")


@contextlib.asynccontextmanager
async def load(running: Running) -> AsyncIterator[list[tuple[int, str, float]]]:
    """Eight clients that ask without pause, half of it what was asked before."""
    outcomes: list[tuple[int, str, float]] = []
    over = False

    async def one(client: httpx.AsyncClient, number: int) -> None:
        count = 0
        while not over:
            count += 1
            name = f"often {count % 5}" if count % 2 else f"once {number} {count}"
            began = time.monotonic()
            answer = await client.post(running.url + CHAT, json=ask(name, stream=number % 2 == 0))
            took_s = time.monotonic() - began
            outcomes.append((answer.status_code, answer.headers[SAID], took_s))

    async with httpx.AsyncClient(timeout=60) as client:
        tasks = [asyncio.create_task(one(client, number)) for number in range(8)]
        try:
            yield outcomes
        finally:
            over = True
            await asyncio.gather(*tasks)


async def comes(outcomes: list[tuple[int, str, float]], words: set[str]) -> None:
    """Wait for answers that were got in one of these ways."""
    seen, deadline = len(outcomes), time.monotonic() + 60
    while not words <= {word for _, word, _ in outcomes[seen:]}:
        assert time.monotonic() < deadline, words
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_no_request_notices_that_redis_went(
    fault: str, room: Path, tiny_model: Path, redis_server: RedisServer
) -> None:
    with daemon(room, keeping(tiny_model, redis_server, patience_s=0.5)) as running:
        running.until_ready()
        await _goes_and_comes_back(fault, redis_server, running)


async def _goes_and_comes_back(fault: str, redis_server: RedisServer, running: Running) -> None:
    async with load(running) as outcomes:
        await comes(outcomes, {"hit", "miss"})
        redis_server.kill() if fault == "killed" else redis_server.freeze()
        await comes(outcomes, {"unavailable"})
        seen = len(outcomes)
        await asyncio.to_thread(until, lambda: len(outcomes) > seen + 300, "300 answers without it")
        status = await asyncio.to_thread(running.status)
        ready = await asyncio.to_thread(httpx.get, running.url + "/ready")
        scrape = await asyncio.to_thread(Scrape, running.url)
        gone = outcomes[seen:]
        redis_server.start() if fault == "killed" else redis_server.thaw()
        await comes(outcomes, {"hit", "miss"})
    assert {code for code, _, _ in outcomes} == {200}
    assert not status["cache"]["up"]
    assert status["cache"]["fault"]
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["detail"] == status["cache"]["fault"]
    assert scrape.value("inferd_cache_up") == 0
    assert scrape.value("inferd_cache_requests_total", result="unavailable") > 0
    # A frozen Redis takes its 0.5 s from a few that try, and from those who wait for them.
    assert sum(took_s > 0.45 for _, _, took_s in gone) < len(gone) / 4
    log = [line for line in running.log.splitlines() if "inferd.cache" in line]
    assert 2 <= len(log) < len(gone) / 10, log  # changes of the state, not one for each request
    assert "computed without the cache" in log[0]
    assert "answers again" in log[-1]
    assert Scrape(running.url).value("inferd_cache_up") == 1


def test_a_redis_that_is_not_there_at_the_start(
    room: Path, tiny_model: Path, redis_server: RedisServer
) -> None:
    redis_server.kill()
    with daemon(room, keeping(tiny_model, redis_server)) as running:
        running.until_ready()
        assert said(running, "q") == "unavailable"
        redis_server.start()
        until(lambda: said(running, "q") == "hit", "an answer of Redis")
        running.tally_after_stop()


def test_the_end_does_not_wait_for_a_frozen_redis(
    room: Path, tiny_model: Path, redis_server: RedisServer
) -> None:
    limits = "idle_grace_s = 0"
    text = keeping(tiny_model, redis_server, patience_s=60).replace(
        "[limits]", f"[limits]\n{limits}"
    )
    with daemon(room, text) as running:
        running.until_ready()
        assert said(running, "q") == "miss"
        redis_server.freeze()
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(running.url + CHAT, json=ask("another"), timeout=0.5)
        began = time.monotonic()
        running.tally_after_stop()
        assert time.monotonic() - began < 25


def test_a_redis_that_is_full(redis_server: RedisServer, running: Running) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory", "1")
        assert [said(running, "q") for _ in range(3)] == ["miss"] * 3
        until(lambda: "does not keep" in running.status()["cache"]["fault"], "the fault")
        assert running.status()["cache"]["up"]
        client.config_set("maxmemory", "0")
    until(lambda: said(running, "q") == "hit", "an answer that is kept")
    assert running.status()["cache"]["fault"] == ""


@pytest.mark.parametrize("password", ["good horse", "bad horse", ""])
def test_its_password(
    room: Path, tiny_model: Path, redis_server: RedisServer, password: str
) -> None:
    with redis_server.client() as client:
        client.config_set("requirepass", "good horse")
    credentials = room / "credentials"
    credentials.mkdir()
    file = credentials / "redis"
    file.touch(0o600)
    file.write_text(password)
    more = 'redis_password = "redis"' if password else ""
    text = keeping(tiny_model, redis_server, more)
    with daemon(room, text, credentials=credentials) as running:
        running.until_ready()
        if password == "good horse":
            assert said(running, "q") == "miss"
            until(lambda: said(running, "q") == "hit", "an answer of Redis")
        else:
            assert said(running, "q") == "unavailable"
            assert "refuses us" in running.status()["cache"]["fault"]
        assert "horse" not in running.log


def test_a_credential_that_is_missing_is_told_at_the_start(
    room: Path, tiny_model: Path, redis_server: RedisServer
) -> None:
    text = keeping(tiny_model, redis_server, 'redis_password = "redis"')
    with daemon(room, text) as running:
        assert running.wait() == 1
        assert "The credential `redis` cannot be used" in running.log
