from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from aiconsole.onhost.probe import traffic
from aiconsole.onhost.probe.disk import Room
from aiconsole.onhost.probe.host import HostSource


def test_this_machine_is_read() -> None:
    reading = HostSource().read(Room(total_bytes=100, free_bytes=40))
    assert reading.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert reading.cpu_count == os.cpu_count()
    assert reading.disk_percent == 60.0
    total_kb = int(Path("/proc/meminfo").read_text().split()[1])
    assert reading.memory_total_bytes == total_kb * 1024
    assert reading.memory_percent is not None
    assert 0 < reading.memory_percent < 100
    assert reading.processes is not None
    assert reading.processes > 0


def test_the_first_reading_knows_no_rates_and_no_share() -> None:
    source = HostSource()
    first = source.read()
    assert (first.cpu_percent, first.network_rx_bytes_per_s) == (None, None)
    assert first.disk_total_bytes is None


def test_the_share_of_the_cpu_counts_waiting_for_disks_as_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = psutil.cpu_times()
    zero = type(times)(*(0.0 for _ in times))
    steps = iter([zero, zero._replace(user=30.0, steal=10.0, idle=40.0, iowait=20.0), zero, zero])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(steps))
    source = HostSource()
    assert source.read().cpu_percent is None
    assert source.read().cpu_percent == pytest.approx(40.0)
    assert source.read().cpu_percent is None, "the counters went back"


def test_a_source_that_fails_is_named_and_the_rest_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise PermissionError("/proc/meminfo")

    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    source = HostSource()
    reading = source.read()
    assert source.errors == {"memory": "PermissionError: /proc/meminfo"}
    assert reading.memory_total_bytes is None
    assert reading.load_1 is not None


def test_bytes_through_disks_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = {
        name: SimpleNamespace(read_bytes=10, write_bytes=20)
        for name in ("sda", "sda1", "dm-0", "md0", "loop0", "nvme0n1")
    }
    monkeypatch.setattr(psutil, "disk_io_counters", lambda perdisk, nowrap: counters)
    assert traffic.disk_bytes(tmp_path) is None
    for name in ("sda", "nvme0n1"):
        (tmp_path / "block" / name / "device").mkdir(parents=True)
    (tmp_path / "block" / "dm-0").mkdir()
    assert traffic.disk_bytes(tmp_path) == (20, 40)


def test_bytes_through_interfaces_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["lo", "eth0", "wlan0", "br-lan", "bond0", "veth12"]
    counters = {name: SimpleNamespace(bytes_recv=1, bytes_sent=2) for name in names}
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic, nowrap: counters)
    (tmp_path / "class" / "net" / "br-lan" / "bridge").mkdir(parents=True)
    (tmp_path / "class" / "net" / "bond0" / "bonding").mkdir(parents=True)
    assert traffic.network_bytes(tmp_path) == (2, 4)
    counters.clear()
    assert traffic.network_bytes(tmp_path) is None
