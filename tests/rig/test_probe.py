"""The probe on real hosts: carried there, running as the login user, gone with its channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from aiconsole.fleet.host import Host
from aiconsole.session.host_keys import HostKeys
from aiconsole.session.pool import Pool
from aiconsole.telemetry import Collector, FleetSnapshot, Sample, sample_once
from tests.rig.host import RigHost
from tests.rig.rig import Rig

pytestmark = pytest.mark.rig

PROBE = "aiconsole.onhost.probe"


@pytest.fixture(scope="module")
def bare(rig: Rig) -> Iterator[RigHost]:
    """One host that these tests share."""
    (host,) = rig.boot("probed")
    yield host
    rig.destroy(host)


@pytest.fixture
async def pool(bare: RigHost, tmp_path: Path) -> AsyncIterator[Pool]:
    known = tmp_path / "known_hosts"
    known.write_text(bare.known_hosts_line + "\n")
    pool = Pool(host_keys=HostKeys(known))
    yield pool
    await pool.close()


def as_host(bare: RigHost, user: str = "root") -> Host:
    return Host(bare.name, bare.address, user, bare.port, (str(bare.key_path),))


async def seen(
    collector: Collector, wanted: Callable[[Sample], bool], within_s: float = 60
) -> Sample:
    """The first sample of the only host that is as wanted."""

    def sample(snapshot: FleetSnapshot) -> Sample:
        return snapshot.hosts[0].sample

    try:
        async with asyncio.timeout(within_s):
            async for snapshot in collector.changes(0.1):
                if wanted(sample(snapshot)):
                    return sample(snapshot)
    except TimeoutError:
        raise AssertionError(f"still {sample(collector.snapshot())}") from None
    raise AssertionError("the snapshots ended")


async def gone(bare: RigHost, within_s: float = 30) -> None:
    """Wait until no process of a probe is left on the host."""
    async with asyncio.timeout(within_s):
        while bare.run("pgrep", "-f", PROBE).stdout.strip():  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # the host gives no event for it


@pytest.mark.parametrize("user", ["root", "ops"])
async def test_a_bare_host_is_sampled(bare: RigHost, pool: Pool, user: str) -> None:
    if user != "root":
        bare.add_user(user)
    sample = await sample_once(pool, as_host(bare, user), 60)
    assert (sample.reach, sample.reason) == ("up", "")
    assert sample.frame is not None
    host = sample.frame.host
    assert host.boot_id == bare.read("/proc/sys/kernel/random/boot_id").strip()
    stat = bare.run("stat", "-f", "-c", "%b %S", "/").stdout.split()
    assert host.disk_total_bytes == int(stat[0]) * int(stat[1])
    assert host.network_rx_bytes_per_s is not None
    assert sample.frame.inferd.state == "absent"
    assert sample.frame.errors == {}
    home = "/root" if user == "root" else f"/home/{user}"
    layers = bare.run("ls", f"{home}/.cache/aiconsole/host-layers").stdout.split()
    assert [len(name) for name in layers] == [64, 64]
    await gone(bare)


async def test_it_lives_as_long_as_its_channel(bare: RigHost, pool: Pool) -> None:
    async with Collector(pool, [as_host(bare)], 0.5) as collector:
        await seen(collector, lambda sample: sample.live)
        assert bare.run("pgrep", "-f", PROBE).stdout.strip()
    await gone(bare)


async def test_a_cut_link_is_told_and_comes_back(bare: RigHost, pool: Pool) -> None:
    async with Collector(pool, [as_host(bare)], 0.5) as collector:
        before = await seen(collector, lambda sample: sample.live)
        with bare.without_ssh():
            bare.cut_connections()
            down = await seen(collector, lambda sample: sample.reach == "unreachable")
            assert down.reason
            assert down.frame is not None, "the last frame stays, with its age"
            await gone(bare)
        after = await seen(collector, lambda sample: sample.live)
        assert after.since_unix_s > before.since_unix_s


async def test_a_black_hole_is_stale_first_and_then_unreachable(bare: RigHost, pool: Pool) -> None:
    async with Collector(pool, [as_host(bare)], 0.5) as collector:
        await seen(collector, lambda sample: sample.live)
        with bare.black_hole():
            stale = await seen(collector, lambda sample: sample.reach == "stale", 10)
            assert stale.frame is not None
            lost = await seen(collector, lambda sample: sample.reach == "unreachable", 20)
            assert lost.age_s(collector.snapshot().taken_monotonic_s) is not None
        await seen(collector, lambda sample: sample.live)


async def test_a_killed_probe_is_told_and_started_again(bare: RigHost, pool: Pool) -> None:
    async with Collector(pool, [as_host(bare)], 0.5) as collector:
        before = await seen(collector, lambda sample: sample.live)
        assert before.frame is not None
        boot_id = before.frame.host.boot_id
        bare.kill(PROBE)
        failed = await seen(collector, lambda sample: sample.reach == "failed")
        assert failed.reason.startswith("The probe ended")
        again = await seen(collector, lambda sample: sample.live)
        assert again.frame is not None
        assert again.frame.host.boot_id == boot_id


async def test_a_host_without_python_says_so(bare: RigHost, pool: Pool) -> None:
    with bare.hide_python():
        sample = await sample_once(pool, as_host(bare), 30)
    assert (sample.reach, sample.frame) == ("failed", None)
    assert "has no python3" in sample.reason


async def test_a_host_with_an_old_python_says_so(bare: RigHost, pool: Pool) -> None:
    with bare.old_python():
        sample = await sample_once(pool, as_host(bare), 30)
    assert (sample.reach, sample.frame) == ("failed", None)
    assert "Python" in sample.reason


async def test_a_full_disk_hides_no_host(bare: RigHost, pool: Pool) -> None:
    bare.add_user("full")
    with bare.small_disk("/home/full/.cache", 1):
        bare.run("chown", "full:full", "/home/full/.cache", check=True)
        bare.run("sh", "-c", "cat /dev/zero >/home/full/.cache/fill", user="full")
        sample = await sample_once(pool, as_host(bare, "full"), 60)
    assert (sample.reach, sample.reason) == ("up", "")
    await gone(bare)


async def test_a_clock_that_is_a_day_off_changes_no_age(bare: RigHost, pool: Pool) -> None:
    async with Collector(pool, [as_host(bare)], 0.5) as collector:
        with bare.clock_off(-86400):
            sample = await seen(collector, lambda sample: sample.live)
            assert sample.frame is not None
            assert sample.frame.clock_unix_s < sample.received_unix_s - 80_000
            age_s = sample.age_s(collector.snapshot().taken_monotonic_s)
            assert age_s is not None
            assert age_s < 5
