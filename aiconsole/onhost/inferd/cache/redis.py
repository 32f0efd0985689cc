"""Answers in Redis: shared by slots and hosts, and never waited for longer than a moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from aiconsole.onhost.inferd.cache.breaker import Breaker
from aiconsole.onhost.inferd.cache.entry import Entry, unpack
from aiconsole.onhost.inferd.cache.store import StoreGoneError
from aiconsole.onhost.inferd.credentials import Secret
from aiconsole.onhost.inferd.settings import CacheSettings

log = logging.getLogger("inferd.cache")

_CONNECTIONS = 32
_PUTS = 64
"""Entries on their way to Redis; more are not kept."""
_FAULT_CHARS = 200
_CLOSE_S = 1.0


class RedisStore:
    """One Redis; gone or slow it costs one request its patience now and then, and nothing else."""

    def __init__(self, settings: CacheSettings, password: Secret | None) -> None:
        """Connect to nothing yet.

        Args:
            settings: Address and patience.
            password: Of Redis, where it has one.
        """
        self._timeout_s = settings.redis_timeout_s
        pool: Any = BlockingConnectionPool.from_url(
            settings.redis_url,
            password=password.reveal() if password else None,
            max_connections=_CONNECTIONS,
            timeout=self._timeout_s,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        self._client: Any = Redis.from_pool(pool)
        self._breaker = Breaker()
        self._gone = ""
        self._refused = ""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._puts = 0

    @property
    def up(self) -> bool:
        """Whether it answered the last time."""
        return self._breaker.closed

    @property
    def fault(self) -> str:
        """Why it does not answer, or does not keep what it is given."""
        return self._gone or self._refused

    async def get(self, key: bytes) -> Entry | None:
        """The entry; a value that is not ours or is damaged counts as none."""
        try:
            data = await self._ask(self._client.get(_name(key)), _holds_another_type)
        except ResponseError:
            self._answers()
            return None
        return unpack(key, data) if isinstance(data, bytes) else None

    async def put(self, key: bytes, entry: Entry, ttl_s: float) -> None:
        """Keep it until its time is over, if Redis takes it."""
        # Whether it answers again is for a question to find out, not for an answer.
        if self._puts >= _PUTS or not self._breaker.closed:
            return
        self._puts += 1
        try:
            lifetime_ms = max(1, int(ttl_s * 1000))
            putting = self._client.set(_name(key), entry.pack(key), px=lifetime_ms)
            await self._ask(putting, lambda _: True)
        except StoreGoneError:
            return
        except ResponseError as error:
            self._refuses(f"Redis does not keep answers: {_plain(error)}")
        else:
            self._refuses("")
        finally:
            self._puts -= 1

    def status(self) -> dict[str, Any]:
        """Nothing that would have to be asked for."""
        return {}

    async def close(self) -> None:
        """Give what is on its way a moment, and disconnect."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=_CLOSE_S)
            for task in late:
                task.cancel()
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    async def _ask(self, command: Awaitable[Any], is_usual: Callable[[ResponseError], bool]) -> Any:
        """An answer of Redis.

        It is asked in a task of its own: a request that is called off in the middle would leave
        a connection on which the answer of one client could be read by the next.

        Raises:
            StoreGoneError: There was none in time.
            ResponseError: It refused this one thing, which is usual; all else can be had.
        """
        asked = self._breaker.ask()
        if asked is None:
            cast("Any", command).close()
            raise StoreGoneError
        task = asyncio.ensure_future(command)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        await asyncio.wait([task], timeout=2 * self._timeout_s)
        try:
            if not task.done():
                raise asyncio.TimeoutError
            answer = task.result()
        except (RedisError, OSError, asyncio.TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, ResponseError) and is_usual(error):
                raise
            self._fails(asked, error)
            raise StoreGoneError from error
        self._answers()
        return answer

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nobody complains of it

    def _answers(self) -> None:
        self._breaker.worked()
        if self._gone:
            self._gone = ""
            log.info("Redis answers again; answers come from the cache")

    def _fails(self, asked: float, error: BaseException) -> None:
        self._breaker.failed(asked)
        known, self._gone = self._gone, _reason(error, self._timeout_s)
        if known != self._gone:
            log.warning("%s; answers are computed without the cache", self._gone)

    def _refuses(self, refused: str) -> None:
        if refused and not self._refused:
            log.warning("%s", refused)
        elif self._refused and not refused:
            log.info("Redis keeps answers again")
        self._refused = refused


def _holds_another_type(error: ResponseError) -> bool:
    return "WRONGTYPE" in str(error)


def _name(key: bytes) -> str:
    return "inferd:" + key.hex()


def _reason(error: BaseException, timeout_s: float) -> str:
    if isinstance(error, (AuthenticationError, NoPermissionError)):
        return f"Redis refuses us: {_plain(error)}"
    if isinstance(error, BusyLoadingError):
        return "Redis is loading its data"
    # Redis' own TimeoutError is none of asyncio's; its name is all that they share.
    if "Timeout" in type(error).__name__:
        return f"Redis does not answer within {timeout_s:g} s"
    if isinstance(error, ResponseError):
        return f"Redis cannot be used: {_plain(error)}"
    return f"Redis is gone: {_plain(error)}"


def _plain(error: BaseException) -> str:
    """One line of what Redis said."""
    text = " ".join(str(error).split())[:_FAULT_CHARS]
    return "".join(c if c.isprintable() else "?" for c in text) or type(error).__name__
