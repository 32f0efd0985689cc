"""The cache in front of the engine: who is given a kept answer, who computes, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from aiconsole.onhost.inferd.cache.entry import Entry
from aiconsole.onhost.inferd.cache.flight import Flight
from aiconsole.onhost.inferd.cache.key import Keys
from aiconsole.onhost.inferd.cache.memory import MemoryStore
from aiconsole.onhost.inferd.cache.recorder import Recorder
from aiconsole.onhost.inferd.cache.store import Store, StoreGoneError
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.settings import CacheSettings

Replay: TypeAlias = Callable[[Entry], Awaitable[None]]
Compute: TypeAlias = "Callable[[Recorder | None], Awaitable[None]]"

_REDIS_KEYS = ("backend", "redis_url", "redis_password", "redis_timeout_s")


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request at the cache; the store stays the same whatever the settings do meanwhile."""

    store: Store
    key: bytes
    ask: Ask
    exchange: Exchange
    replay: Replay
    compute: Compute


class Cache:
    """One for the whole daemon."""

    def __init__(self, settings: CacheSettings, origin: str, credentials: Credentials) -> None:
        """Begin with nothing kept.

        Args:
            settings: Where answers are kept, and for how long.
            origin: What the answers come from: digest of the model, or its name and release.
            credentials: Where Redis' password lies.
        """
        self._settings = settings
        self._credentials = credentials
        self._keys = Keys(origin)
        self._store = _open(settings, credentials)
        self._flights: dict[bytes, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def enabled(self) -> bool:
        """Whether answers are kept at all."""
        return self._store is not None

    @property
    def up(self) -> bool:
        """Whether kept answers can be had now."""
        return self._store is not None and self._store.up

    @property
    def fault(self) -> str:
        """What is wrong with the store, in plain words; answers are computed all the same."""
        return self._store.fault if self._store else ""

    def status(self) -> dict[str, Any]:
        """For the operator."""
        if self._store is None:
            return {"backend": "off"}
        return {
            "backend": self._settings.backend,
            "up": self._store.up,
            "fault": self._store.fault,
            **self._store.status(),
        }

    async def answer(self, ask: Ask, exchange: Exchange, replay: Replay, compute: Compute) -> None:
        """Answer from the cache, or by computing; alone, or for all who want the same.

        Args:
            ask: What is wanted.
            exchange: Is told what the cache said.
            replay: Gives the client an answer that is there.
            compute: Has the engine make it, and the recorder see it.
        """
        store = self._store
        if store is None:
            await compute(None)
            return
        if not _is_exact(ask, trusted=exchange.trusted):
            _mark(exchange, "bypass")
            await compute(None)
            return
        key = self._keys.of(ask, exchange, shared=self._settings.shared)
        visit = _Visit(store, key, ask, exchange, replay, compute)
        flight = self._flights.get(key)
        if flight is None:
            await self._lead(Flight(self._flights, key), visit)
            return
        there = flight.landed  # and only on its way into the store
        turn = await flight.join()
        if turn == "lead":
            await self._lead(flight, visit)
        elif turn == "alone":
            _mark(exchange, "miss")
            await compute(None)
        else:
            _mark(exchange, "hit" if there else "joined")
            await replay(turn)

    async def _lead(self, flight: Flight, visit: _Visit) -> None:
        """Look it up, and compute it where it is not there; for all who wait."""
        try:
            entry = await self._found(visit)
            if entry is None:
                keep = partial(self._keep, flight, visit)
                limit_bytes = self._settings.max_entry_bytes
                await visit.compute(Recorder(visit.ask, flight, limit_bytes, keep))
                return
            flight.land(entry)
        finally:
            flight.leave()
        await visit.replay(entry)

    async def _found(self, visit: _Visit) -> Entry | None:
        try:
            entry = await visit.store.get(visit.key)
        except StoreGoneError:
            _mark(visit.exchange, "unavailable")
            return None
        _mark(visit.exchange, "hit" if entry else "miss")
        return entry

    def _keep(self, flight: Flight, visit: _Visit, entry: Entry) -> None:
        """Put it into the store; until it is there, who asks joins the flight."""
        flight.stay = True
        putting = visit.store.put(visit.key, entry, self._settings.ttl_s)
        task = asyncio.get_running_loop().create_task(putting)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: flight.end())

    def configure(self, settings: CacheSettings) -> None:
        """Other settings from now on; another store is empty, the same one keeps what it has.

        Raises:
            StartError: The credential of another store cannot be read; all stays as it was.
        """
        known, store = self._settings, self._store
        if any(getattr(known, key) != getattr(settings, key) for key in _REDIS_KEYS):
            self._store = _open(settings, self._credentials)
            if store is not None:
                task = asyncio.get_running_loop().create_task(store.close())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        elif isinstance(store, MemoryStore):
            store.resize(settings.max_bytes)
        self._settings = settings

    async def close(self) -> None:
        """Let what is on its way into the store arrive, and disconnect."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=2.0)
        if self._store is not None:
            await self._store.close()


def _open(settings: CacheSettings, credentials: Credentials) -> Store | None:
    if settings.backend == "memory":
        return MemoryStore(settings.max_bytes)
    if settings.backend == "redis":
        from aiconsole.onhost.inferd.cache.redis import (
            RedisStore,
        )  # takes its time, and few need it

        name = settings.redis_password
        return RedisStore(settings, credentials.read(name) if name else None)
    return None


def _is_exact(ask: Ask, *, trusted: bool) -> bool:
    """Whether the same request would be answered the same, or the client says that it may be."""
    if ask.choices != 1 or ask.cache == "no-store":
        return False
    if trusted and not ask.cache:
        return False  # who proves a slot by a completion must hear the engine, and no old answer
    return ask.cache == "use" or ask.body.get("temperature") == 0


def _mark(exchange: Exchange, said: str) -> None:
    exchange.cache = said
    exchange.headers.append((b"x-inferd-cache", said.encode()))
