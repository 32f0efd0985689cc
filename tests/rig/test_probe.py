"""The probe on real hosts: carried there, running as the login user, gone with its channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aiconsole.fleet.host import Host
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.pool import Pool
from aiconsole.telemetry import Collector, FleetSnapshot, sample_once
from tests.rig.host import RigHost

pytestmark = pytest.mark.rig


@pytest.fixture
async def pool(rig_host: RigHost, tmp_path: Path) -> AsyncIterator[Pool]:
    known = tmp_path / "known_hosts"
    known.write_text(rig_host.known_hosts_line + "\n")
    pool = Pool(host_keys=HostKeys(known))
    yield pool
    await pool.close()


def as_host(rig_host: RigHost) -> Host:
    return Host(rig_host.name, rig_host.address, "root", rig_host.port, (str(rig_host.key_path),))


async def seen(
    collector: Collector, wanted: Callable[[FleetSnapshot], bool], within_s: float = 60
) -> FleetSnapshot:
    async with asyncio.timeout(within_s):
        async for snapshot in collector.changes(0.1):
            if wanted(snapshot):
                return snapshot
    raise AssertionError("the snapshots ended")


async def test_a_bare_host_is_sampled_over_ssh(rig_host: RigHost, pool: Pool) -> None:
    sample = await sample_once(pool, as_host(rig_host), 60)
    assert (sample.reach, sample.reason) == ("up", "")
    assert sample.frame is not None
    assert sample.frame.host.boot_id == rig_host.read("/proc/sys/kernel/random/boot_id").strip()
    assert sample.frame.inferd.state == "absent"
    assert sample.frame.gpu_state == "none"
    assert sample.frame.host.memory_total_bytes
