"""Where public keys come from: a file or an address, both looked at again."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import aiohttp

from aiconsole.onhost.inferd.access.jwks import MAX_BYTES, KeySet, KeySetError, OneKey, read_key_set
from aiconsole.onhost.inferd.start_error import StartError

log = logging.getLogger("inferd.jwt")

Keys: TypeAlias = "KeySet | OneKey"

_ASK_AGAIN_S = 10.0
"""Between two requests to the address, however many tokens name a key that is not known."""
_TIMEOUT_S = 5.0


class KeySource(Protocol):
    """Keys that may change while the daemon runs."""

    keys: Keys | None
    """Those in force; None where there are none yet."""
    generation: int
    """Grows with each change."""

    def refresh(self) -> None:
        """Look whether they are others; called with each token, so it costs next to nothing."""

    async def ask(self) -> None:
        """Try to get newer ones, because a token names one that is not known."""

    def open(self) -> None:
        """The loop runs from now on."""

    async def close(self) -> None:
        """The end."""


class NoKeys:
    """Where only a shared secret is in use."""

    keys: Keys | None = None
    generation = 0

    def refresh(self) -> None:
        """Nothing changes."""

    async def ask(self) -> None:
        """There is nobody to ask."""

    def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""


class FileKeys(NoKeys):
    """A file; a new one that cannot be read leaves the old keys in force, and is told once."""

    def __init__(self, path: Path, read: Callable[[bytes], Keys]) -> None:
        """Read it for the first time.

        Raises:
            StartError: It cannot be used.
        """
        self._path = path
        self._read = read
        self._mark: tuple[int, int, int] | None = None
        self._fault = ""
        try:
            self._load(os.stat(path))  # noqa: PTH116
        except (OSError, KeySetError) as error:
            raise StartError(
                "The keys for tokens cannot be used", f"{path}: {_text(error)}",
                "Correct the file that [auth.jwt] names.", permanent=True,
            ) from error  # fmt: skip

    def refresh(self) -> None:
        """Read it again if it has changed."""
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - once a request: 1 µs instead of 3
            if (stat.st_ino, stat.st_mtime_ns, stat.st_size) != self._mark:
                self._load(stat)
        except (OSError, KeySetError) as error:
            if (fault := _text(error)) != self._fault:
                log.warning("the old keys for tokens stay in force: %s: %s", self._path, fault)
            self._fault = fault

    def _load(self, stat: os.stat_result) -> None:
        self._mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if stat.st_size > MAX_BYTES:
            raise KeySetError(f"it is larger than {MAX_BYTES} bytes")
        self.keys = self._read(self._path.read_bytes())
        self.generation += 1
        self._fault = ""


class UrlKeys(NoKeys):
    """An address that is asked every `ttl_s`, and for a key that is not known.

    While it does not answer, the old keys stay in force.
    """

    def __init__(self, url: str, ttl_s: float, ca_file: str = "") -> None:
        """Prepare; nothing is asked yet.

        Raises:
            StartError: The authority's file cannot be used.
        """
        self._url = url
        self._ttl_s = ttl_s
        self._down = False
        self._asked = -_ASK_AGAIN_S
        self._asking: asyncio.Task[None] | None = None
        self._clock: asyncio.Task[None] | None = None
        try:
            self._ssl = ssl.create_default_context(cafile=ca_file or None)
        except OSError as error:
            raise StartError(
                "The authority for the address of keys cannot be used", f"{ca_file}: {error}",
                "Correct [auth.jwt] jwks_ca_file.", permanent=True,
            ) from error  # fmt: skip

    def open(self) -> None:
        """Ask from now on, whether or not somebody comes."""
        if self._clock is None:
            self._clock = asyncio.get_running_loop().create_task(self._keep_fresh())

    async def close(self) -> None:
        """Ask no more."""
        for task in (self._clock, self._asking):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def ask(self) -> None:
        """Ask now, unless that was done just now; whoever comes meanwhile waits for the same."""
        if self._asking is None:
            if time.monotonic() - self._asked < _ASK_AGAIN_S:
                return
            self._asked = time.monotonic()
            self._asking = asyncio.get_running_loop().create_task(self._fetch())
            self._asking.add_done_callback(self._forget)
        # A client that goes away must not take the answer from the others.
        await asyncio.shield(self._asking)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._asking = None

    async def _keep_fresh(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(_ASK_AGAIN_S if self._down else self._ttl_s)

    async def _fetch(self) -> None:
        try:
            data = await self._get()
            keys = read_key_set(data)
        except (KeySetError, OSError, aiohttp.ClientError, asyncio.TimeoutError) as error:
            if not self._down:
                state = "the old keys stay in force" if self.keys else "no token can be accepted"
                log.warning("%s: %s gives no keys: %s", state, self._url, _text(error))
            self._down = True
            return
        if self._down:
            log.info("%s gives keys again", self._url)
        self._down = False
        if keys != self.keys:
            self.keys = keys
            self.generation += 1

    async def _get(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            # A redirect could lead from https to plain http.
            session.get(self._url, ssl=self._ssl, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise KeySetError(f"HTTP status {answer.status}")
            data = b""
            async for piece in answer.content.iter_any():
                data += piece
                if len(data) > MAX_BYTES:
                    raise KeySetError(f"it is larger than {MAX_BYTES} bytes")
            return data


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return str(error) or type(error).__name__
