"""The contract of every place where answers are kept: what `cache/store.py` promises."""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.cache.entry import Entry
from aiconsole.onhost.inferd.cache.memory import MemoryStore
from aiconsole.onhost.inferd.cache.redis import RedisStore
from aiconsole.onhost.inferd.cache.store import Store, StoreGoneError
from aiconsole.onhost.inferd.credentials import Secret
from aiconsole.onhost.inferd.settings import CacheSettings
from tests.contract.inferd.redis_server import RedisServer, redis_at
from tests.contract.inferd.running import bound
from tests.fixtures.certificate import write_pair

ENTRY = Entry('{"id":"ü"}'.encode(), 3, 4, "stop")


def key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


class StoreContract(ABC):
    """What each of them has to do."""

    @pytest.fixture
    @abstractmethod
    async def store(self) -> AsyncIterator[Store]:
        """A store with nothing in it."""
        yield  # type: ignore[misc]

    async def test_what_was_put_comes_back(self, store: Store) -> None:
        assert await store.get(key("a")) is None
        await store.put(key("a"), ENTRY, 60)
        assert await store.get(key("a")) == ENTRY
        assert await store.get(key("b")) is None
        assert (store.up, store.fault) == (True, "")

    async def test_the_last_one_counts(self, store: Store) -> None:
        await store.put(key("a"), ENTRY, 60)
        new = Entry(b"{}", 0, 2**40, "length")
        await store.put(key("a"), new, 60)
        assert await store.get(key("a")) == new

    async def test_it_forgets_in_time(self, store: Store) -> None:
        await store.put(key("a"), ENTRY, 0.05)
        await store.put(key("b"), ENTRY, 600)
        await asyncio.sleep(0.1)
        assert await store.get(key("a")) is None
        assert await store.get(key("b")) == ENTRY

    async def test_a_long_answer(self, store: Store) -> None:
        long = Entry(bytes(range(256)) * 4096, 1, 1, "stop")
        await store.put(key("a"), long, 60)
        assert await store.get(key("a")) == long

    async def test_many_at_a_time_do_not_mix(self, store: Store) -> None:
        entries = {key(str(n)): Entry(b"%d" % n * 50, n, n, "stop") for n in range(200)}
        for name, entry in entries.items():
            await store.put(name, entry, 60)
        found = await asyncio.gather(*(store.get(name) for name in entries))
        assert found == list(entries.values())

    async def test_a_caller_that_goes_spoils_nothing_for_the_next(self, store: Store) -> None:
        names = [key(str(n)) for n in range(40)]
        for n, name in enumerate(names):
            await store.put(name, Entry(b"%d" % n, n, n, "stop"), 60)
        for _ in range(5):
            asking = [asyncio.ensure_future(store.get(name)) for name in names]
            await asyncio.sleep(0)
            for task in asking[::2]:
                task.cancel()
            await asyncio.wait(asking)
            for n, name in enumerate(names):
                found = await store.get(name)
                assert found is not None
                assert found.prompt_tokens == n


class TestMemoryStore(StoreContract):
    """The one in the process."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = MemoryStore(8 * 1024 * 1024)
        yield store
        await store.close()


class TestRedisStore(StoreContract):
    """The one in Redis, over TCP."""

    @pytest.fixture
    async def store(self, redis_server: RedisServer) -> AsyncIterator[Store]:
        async with open_store(redis_server.url) as store:
            yield store

    async def test_values_that_are_damaged_or_not_ours_count_as_none(
        self, store: Store, redis_server: RedisServer
    ) -> None:
        await store.put(key("a"), ENTRY, 60)
        (name,) = redis_server.keys()
        with redis_server.client() as client:
            good: bytes = client.get(name)  # type: ignore[assignment]
            other = b"inferd:" + key("b").hex().encode()
            for bad in (good[:-1], b"", b"{}", good[:20] + b"?" + good[21:], good + b"x"):
                client.set(name, bad)
                assert await store.get(key("a")) is None
            client.set(other, good)  # whole, but of another question
            assert await store.get(key("b")) is None
            client.delete(name)
            client.lpush(name, "a list")
            assert await store.get(key("a")) is None
        assert (store.up, store.fault) == (True, "")
        await store.put(key("a"), ENTRY, 60)
        assert await store.get(key("a")) == ENTRY

    async def test_a_full_redis_is_read_but_not_written(
        self, store: Store, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        await store.put(key("a"), ENTRY, 60)
        with redis_server.client() as client:
            client.config_set("maxmemory", "1")
            for _ in range(3):
                await store.put(key("b"), ENTRY, 60)
            assert await store.get(key("a")) == ENTRY
            assert await store.get(key("b")) is None
            assert store.up
            assert "does not keep answers" in store.fault
            client.config_set("maxmemory", "0")
        await store.put(key("b"), ENTRY, 60)
        assert await store.get(key("b")) == ENTRY
        assert store.fault == ""
        said = [record.message for record in caplog.records if record.name == "inferd.cache"]
        assert [text[:21] for text in said] == ["Redis does not keep a", "Redis keeps answers a"]

    @pytest.mark.parametrize("fault", ["killed", "frozen"])
    async def test_a_dead_redis_costs_a_moment_now_and_then(
        self, fault: str, store: Store, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        await store.put(key("a"), ENTRY, 60)
        redis_server.kill() if fault == "killed" else redis_server.freeze()
        waits = 0
        for _ in range(200):
            began = asyncio.get_running_loop().time()
            with pytest.raises(StoreGoneError):
                await store.get(key("a"))
            waits += asyncio.get_running_loop().time() - began > 1.0
        assert waits <= 2  # of 200; without the breaker a frozen one would cost each of them
        assert not store.up
        assert store.fault
        redis_server.start() if fault == "killed" else redis_server.thaw()
        await until_up(store)
        await store.put(key("b"), ENTRY, 60)
        assert await store.get(key("b")) == ENTRY
        said = [record.message for record in caplog.records if record.name == "inferd.cache"]
        assert "computed without the cache" in said[0]
        assert "answers again" in said[-1]
        assert len(said) <= 4  # changes of the state, not one for each request


async def until_up(store: Store) -> None:
    deadline = asyncio.get_running_loop().time() + 60
    while not store.up:
        assert asyncio.get_running_loop().time() < deadline
        try:
            await store.get(key("a"))
        except StoreGoneError:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def open_store(url: str, password: str = "") -> AsyncIterator[RedisStore]:
    settings = CacheSettings(backend="redis", redis_url=url, redis_timeout_s=2.0)
    store = RedisStore(settings, Secret(password) if password else None)
    try:
        yield store
    finally:
        await store.close()


class TestRedisStoreOnASocket(StoreContract):
    """The same on a UNIX socket."""

    @pytest.fixture
    async def store(self, redis_server: RedisServer) -> AsyncIterator[Store]:
        async with open_store(redis_server.socket_url) as store:
            yield store


async def test_a_password(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("requirepass", "good horse")
    async with open_store(redis_server.url, "good horse") as store:
        await store.put(key("a"), ENTRY, 60)
        assert await store.get(key("a")) == ENTRY
    for wrong in ("bad horse", ""):
        async with open_store(redis_server.url, wrong) as store:
            with pytest.raises(StoreGoneError):
                await store.get(key("a"))
            assert "refuses us" in store.fault
            assert "horse" not in store.fault


async def test_a_user_who_may_only_read(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with open_store(redis_server.url) as store:
        await store.put(key("a"), ENTRY, 60)
    with redis_server.client() as client:
        client.acl_setuser("reader", enabled=True, passwords=["+good"], categories=["+@all"],
                           commands=["-set"], keys=["*"])  # fmt: skip
    url = redis_server.url.replace("//", "//reader@")
    async with open_store(url, "good") as store:
        for _ in range(5):
            assert await store.get(key("a")) == ENTRY
            await store.put(key("b"), ENTRY, 60)
        assert store.up
        assert "does not keep answers" in store.fault
    assert len([record for record in caplog.records if record.name == "inferd.cache"]) == 1


@pytest.mark.redis
async def test_a_redis_that_answers_nothing_but_errors(
    room: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with redis_at(room, "--cluster-enabled", "yes") as server:  # of which no slot is assigned
        async with open_store(server.url) as store:
            for _ in range(20):
                with pytest.raises(StoreGoneError):
                    await store.get(key("a"))
                await store.put(key("a"), ENTRY, 60)
            assert not store.up
            assert "cannot be used" in store.fault
    assert len([record for record in caplog.records if record.name == "inferd.cache"]) == 1


@pytest.mark.redis
async def test_over_tls_only_with_a_certificate_that_is_trusted(room: Path) -> None:
    pair = write_pair(room, "localhost")
    certificate, private = pair.certificate, pair.key
    tls = ["--tls-cert-file", str(certificate), "--tls-key-file", str(private),
           "--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"]  # fmt: skip
    with bound() as sock:
        port = sock.getsockname()[1]
    with redis_at(room, *tls, "--tls-port", str(port)) as server:
        url = f"rediss://localhost:{port}/0"
        async with open_store(f"{url}?ssl_ca_certs={certificate}") as store:
            await store.put(key("a"), ENTRY, 60)
            assert await store.get(key("a")) == ENTRY
        async with open_store(url) as store:
            with pytest.raises(StoreGoneError):
                await store.get(key("a"))
        assert len(server.keys()) == 1
