"""Tokens of the day: each daemon counts its own, and adds what the others on this host wrote down.

The day is UTC's. Each slot writes a file of its own into its own run directory, every few seconds
and at its end, and only ever reads those of its neighbours. So a restart goes on where it was, both
slots of a swap count together, and nobody writes over anybody's numbers. A daemon that is killed
forgets the last seconds. Where run directories lie in memory, as under systemd, a reboot begins
the day anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger("inferd.daybook")

FILE = "day-tokens.json"
_DAY_S = 86_400
_EVERY_S = 2.0
_MAX_BYTES = 8 * 1024 * 1024
_TENANTS = 20_000
_TOGETHER = "\0others"


class DayBook:
    """How many tokens each tenant used today."""

    def __init__(self, clock: Callable[[], float] = time.time, tenants: int = _TENANTS) -> None:
        """An empty book.

        Args:
            clock: Seconds since 1970 in UTC.
            tenants: How many are counted each for itself; newcomers beyond that share one count.
        """
        self._clock = clock
        self._limit = tenants
        self._day = self._today()
        self._own: dict[str, int] = {}
        self._others: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._run_dir: Path | None = None
        self._written: tuple[int, dict[str, int]] = (self._day, {})
        self._keeping: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._mute = False

    def used(self, tenant: str) -> int:
        """Tokens of today, here and in the other slot."""
        self._turn()
        return self._own.get(self._line(tenant), 0) + self._others.get(tenant, 0)

    def held(self, tenant: str) -> int:
        """Tokens that its requests at work are expected to use."""
        return self._held.get(tenant, 0)

    @property
    def rest_s(self) -> float:
        """Until the next day begins."""
        return _DAY_S - self._clock() % _DAY_S

    def hold(self, tenant: str, tokens: int) -> None:
        """A request begins that is expected to use so many."""
        self._held[tenant] = self._held.get(tenant, 0) + tokens

    def settle(self, tenant: str, held: int, used: int) -> None:
        """It has ended, and counts for the day on which it did."""
        self._turn()
        rest = self._held.get(tenant, 0) - held
        if rest > 0:
            self._held[tenant] = rest
        else:
            self._held.pop(tenant, None)
        if not used:
            return
        line = self._line(tenant)
        self._own[line] = self._own.get(line, 0) + used

    def open(self, run_dir: Path) -> None:
        """Go on with what was written today, and write from now on."""
        self._run_dir = run_dir
        self._own = dict(_read(run_dir / FILE, self._day))
        self._others = _neighbours(run_dir, self._day)
        self._written = (self._day, dict(self._own))
        self._keeping = asyncio.create_task(self._keep(run_dir))

    async def close(self) -> None:
        """Write for the last time."""
        if self._keeping is None or self._run_dir is None:
            return
        self._stop.set()
        await self._keeping
        self._keeping = None
        await self._exchange(self._run_dir)

    async def _keep(self, run_dir: Path) -> None:
        while not self._stop.is_set():
            await self._exchange(run_dir)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _EVERY_S)

    async def _exchange(self, run_dir: Path) -> None:
        """Write down what is new, and look at what others wrote; files are a thread's affair."""
        self._turn()
        page = (self._day, dict(self._own))
        fresh = page if page != self._written else None
        try:
            others = await asyncio.to_thread(_swap_pages, run_dir, page[0], fresh)
        except OSError as error:
            if not self._mute:
                log.error("tokens of the day cannot be written down: %s", error)
            self._mute = True
            return
        self._mute = False
        self._written = page
        if page[0] == self._day:
            self._others = others

    def _line(self, tenant: str) -> str:
        return tenant if tenant in self._own or len(self._own) < self._limit else _TOGETHER

    def _turn(self) -> None:
        today = self._today()
        if today != self._day:
            self._day, self._own, self._others = today, {}, {}

    def _today(self) -> int:
        return int(self._clock() // _DAY_S)


def _swap_pages(run_dir: Path, day: int, own: tuple[int, dict[str, int]] | None) -> dict[str, int]:
    if own is not None:
        _write(run_dir / FILE, *own)
    return _neighbours(run_dir, day)


def _write(path: Path, day: int, tokens: dict[str, int]) -> None:
    """Whole or not at all."""
    draft = path.with_name(path.name + ".part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump({"day": day, "tokens": tokens}, file)
    draft.replace(path)


def _neighbours(run_dir: Path, day: int) -> dict[str, int]:
    """Sums over the other slots."""
    total: dict[str, int] = {}
    for path in run_dir.parent.glob(f"*/{FILE}"):
        if path.parent.name != run_dir.name:
            for tenant, tokens in _read(path, day).items():
                total[tenant] = total.get(tenant, 0) + tokens
    return total


def _read(path: Path, day: int) -> dict[str, int]:
    """Numbers of one file, if they are of this day; a damaged one counts nothing."""
    try:
        stat = path.stat()
    except OSError:
        return {}
    return _page(path, day, (stat.st_ino, stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=8)
def _page(path: Path, day: int, mark: tuple[int, ...]) -> dict[str, int]:
    """A file is read once for each `mark` that it bears: a stopped neighbour writes no more."""
    try:
        with path.open("rb") as file:
            page: Any = orjson.loads(file.read(_MAX_BYTES))
        tokens = page["tokens"] if page["day"] == day else {}
        return {str(t): n for t, n in tokens.items() if type(n) is int and n > 0}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s cannot be used: %s", path, error)
        return {}
