"""One collector for the whole fleet: a task for each host, immutable snapshots for the readers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from aiconsole.fleet.host import Host
from aiconsole.session.pool import Pool
from aiconsole.session.protocol import Process
from aiconsole.telemetry.launch import launched
from aiconsole.telemetry.sample import FleetSnapshot, Sample
from aiconsole.telemetry.shelf import Shelf
from aiconsole.telemetry.watch import Open, Watch

ONCE_S = 20.0
"""How long one reading of a host may take in all."""
_ONCE_INTERVAL_S = 0.5
_ONCE_FRAMES = 6


class Collector:
    """Watches hosts from `async with` to its end. A dead host costs the others nothing."""

    def __init__(self, pool: Pool, hosts: Iterable[Host], interval_s: float = 1.0) -> None:
        self._pool = pool
        self._shelf = Shelf()
        self._interval_s = interval_s
        self._hosts = {host.name: host for host in hosts}
        self._watches: dict[str, Watch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._seq = 0

    async def __aenter__(self) -> Self:
        self._start(self._hosts.values())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop(list(self._tasks))

    async def watch(self, hosts: Iterable[Host]) -> None:
        """Watch these hosts from now on; those that are watched already go on as they are."""
        wanted = {host.name: host for host in hosts}
        kept = {name for name, host in wanted.items() if self._hosts.get(name) == host}
        await self._stop([name for name in self._tasks if name not in kept])
        self._hosts = wanted
        self._start(host for name, host in wanted.items() if name not in self._tasks)
        self._seq += 1

    def snapshot(self) -> FleetSnapshot:
        """Everything that is known now; never waits."""
        now_s = time.monotonic()
        for watch in self._watches.values():
            watch.age(now_s)
        views = tuple(self._watches[name].view for name in self._hosts if name in self._watches)
        return FleetSnapshot(views, time.time(), now_s, self._seq)

    async def changes(self, interval_s: float = 1.0) -> AsyncIterator[FleetSnapshot]:
        """Yield one snapshot at once, and then one each refresh interval."""
        while True:
            yield self.snapshot()
            await asyncio.sleep(interval_s)

    def _start(self, hosts: Iterable[Host]) -> None:
        for host in hosts:
            open_probe = _opener(self._pool, host, self._shelf, self._interval_s)
            watch = Watch(host.name, open_probe, self._interval_s, self._changed)
            self._watches[host.name] = watch
            self._tasks[host.name] = asyncio.create_task(watch.run(), name=f"watch {host.name}")

    async def _stop(self, names: list[str]) -> None:
        tasks = [self._tasks.pop(name) for name in names]
        for name in names:
            del self._watches[name]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _changed(self) -> None:
        self._seq += 1


async def sample_once(pool: Pool, host: Host, timeout_s: float = ONCE_S) -> Sample:
    """One reading of a host, with rates and its GPUs; what went wrong stands in the sample.

    A host that answers slowly gives what it had said when the time was over.
    """
    done = asyncio.Event()

    def look() -> None:
        if _enough(watch.view.sample):
            done.set()

    open_probe = _opener(pool, host, Shelf(), _ONCE_INTERVAL_S)
    watch = Watch(host.name, open_probe, _ONCE_INTERVAL_S, look)
    task = asyncio.create_task(watch.run(), name=f"sample {host.name}")
    try:
        async with asyncio.timeout(timeout_s):
            await done.wait()
    except TimeoutError:
        if watch.view.sample.frame is None:
            reason = f"no answer within {timeout_s:g} s"
            return replace(watch.view.sample, reach="unreachable", reason=reason)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return watch.view.sample


def _enough(sample: Sample) -> bool:
    """True for a failure, and for a frame in which every source has had its say."""
    frame = sample.frame
    if frame is None:
        return sample.reach != "connecting"
    told = frame.gpu_state != "unknown" and (frame.inferd.state != "unknown" or frame.errors)
    return frame.seq >= _ONCE_FRAMES or (frame.seq >= 1 and bool(told))


def _opener(pool: Pool, host: Host, shelf: Shelf, interval_s: float) -> Open:
    """What opens the stream of one host, over the pool's connection."""
    options = ("--interval", f"{interval_s:g}", "--runtime", host.runtime)

    @asynccontextmanager
    async def open_probe() -> AsyncIterator[Process]:
        session = await pool.session(host)
        async with launched(session, shelf, options) as process:
            yield process

    return open_probe
