"""The collector over this machine and over hosts that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import psutil
import pytest

from aiconsole.fleet.host import Host
from aiconsole.session.pool import Pool
from aiconsole.telemetry import Collector, FleetSnapshot, HostView, sample_once

HERE = Host("localhost")
DEAD = Host("dead", "127.0.0.1", "root", 1)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool()
    yield pool
    await pool.close()


async def seen(collector: Collector, wanted: Callable[[FleetSnapshot], bool]) -> FleetSnapshot:
    async with asyncio.timeout(60):
        async for snapshot in collector.changes(0.02):
            if wanted(snapshot):
                return snapshot
    raise AssertionError("the snapshots ended")


def view(snapshot: FleetSnapshot, name: str) -> HostView:
    found = snapshot.host(name)
    assert found is not None
    return found


def probes() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "aiconsole.onhost.probe" in " ".join(child.cmdline())
    ]


async def test_this_machine_is_watched_beside_a_dead_host(pool: Pool) -> None:
    async with Collector(pool, [HERE, DEAD], 0.1) as collector:
        first = collector.snapshot()
        assert [one.name for one in first.hosts] == ["localhost", "dead"]
        assert {one.sample.reach for one in first.hosts} == {"connecting"}
        snapshot = await seen(
            collector, lambda now: len(view(now, "localhost").history.times_unix_s) >= 3
        )
        assert view(snapshot, "localhost").sample.live
        snapshot = await seen(
            collector, lambda now: view(now, "dead").sample.reach == "unreachable"
        )
        assert "refused the connection" in view(snapshot, "dead").sample.reason
        assert snapshot.seq > first.seq
        assert first.hosts[0].sample.frame is None, "an older snapshot never changes"
    assert probes() == []


async def test_hosts_come_and_go_while_the_others_go_on(pool: Pool) -> None:
    async with Collector(pool, [HERE], 0.1) as collector:
        before = await seen(collector, lambda now: view(now, "localhost").sample.live)
        await collector.watch([DEAD, HERE])
        both = collector.snapshot()
        assert [one.name for one in both.hosts] == ["dead", "localhost"]
        since = view(both, "localhost").sample.since_unix_s
        assert since == view(before, "localhost").sample.since_unix_s
        await collector.watch([DEAD])
        assert [one.name for one in collector.snapshot().hosts] == ["dead"]
        assert probes() == []


async def test_one_reading_of_this_machine(pool: Pool) -> None:
    sample = await sample_once(pool, HERE, 60)
    assert sample.reach == "up"
    assert sample.frame is not None
    assert sample.frame.host.cpu_percent is not None
    assert sample.frame.gpu_state != "unknown"
    assert probes() == []


async def test_one_reading_of_a_dead_host_says_why(pool: Pool) -> None:
    sample = await sample_once(pool, DEAD, 60)
    assert (sample.reach, sample.frame) == ("unreachable", None)
    assert "refused the connection" in sample.reason
