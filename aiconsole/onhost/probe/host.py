"""The machine's own readings, by psutil and /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from aiconsole.onhost.probe.disk import Room
from aiconsole.onhost.probe.pressure import read_pressure
from aiconsole.onhost.probe.rate import Rates
from aiconsole.onhost.probe.traffic import disk_bytes, network_bytes
from aiconsole.onhost.wire import HostReading

T = TypeVar("T")


class HostSource:
    """Reads the machine, which never waits: all of it is memory of the kernel."""

    def __init__(self) -> None:
        self._rates = Rates()
        self._boot_id = _boot_id()
        self._cpu_before: tuple[float, float] | None = None
        self.errors: dict[str, str] = {}
        """What could not be read at the last reading."""

    def read(self, room: Room | None = None) -> HostReading:
        """Take a reading; what is not to be had is None and named in `errors`."""
        self.errors = {}
        memory = self._try("memory", psutil.virtual_memory)
        swap = self._try("swap", psutil.swap_memory)
        load = self._try("load", os.getloadavg)
        now_s = time.monotonic()
        disk = self._try("disk-io", disk_bytes)
        network = self._try("network", network_bytes)
        rate = self._rates.per_s
        return HostReading(
            cpu_percent=self._try("cpu", self._cpu_percent),
            cpu_count=os.cpu_count(),
            load_1=load[0] if load else None,
            load_5=load[1] if load else None,
            load_15=load[2] if load else None,
            memory_total_bytes=memory.total if memory else None,
            memory_available_bytes=memory.available if memory else None,
            memory_used_bytes=memory.total - memory.available if memory else None,
            swap_total_bytes=swap.total if swap else None,
            swap_used_bytes=swap.used if swap else None,
            pressure_cpu=read_pressure("cpu"),
            pressure_memory=read_pressure("memory"),
            pressure_io=read_pressure("io"),
            disk_total_bytes=room.total_bytes if room else None,
            disk_free_bytes=room.free_bytes if room else None,
            disk_read_bytes_per_s=rate("disk-read", disk[0] if disk else None, now_s),
            disk_write_bytes_per_s=rate("disk-write", disk[1] if disk else None, now_s),
            network_rx_bytes_per_s=rate("rx", network[0] if network else None, now_s),
            network_tx_bytes_per_s=rate("tx", network[1] if network else None, now_s),
            uptime_s=self._try("uptime", _uptime_s),
            boot_id=self._boot_id,
            processes=self._try("processes", _processes),
        )

    def _cpu_percent(self) -> float | None:
        times = psutil.cpu_times()
        # guest and guest_nice are counted in user and nice already.
        total = sum(times[:8])
        idle = times.idle + times.iowait
        before, self._cpu_before = self._cpu_before, (total, idle)
        if before is None or total <= before[0]:
            return None
        busy = 1.0 - (idle - before[1]) / (total - before[0])
        # iowait may go back by a tick, so the share may leave its bounds by a hair.
        return min(100.0, max(0.0, 100.0 * busy))

    def _try(self, name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except (OSError, psutil.Error, ValueError, RuntimeError) as error:
            self.errors[name] = f"{type(error).__name__}: {error}"
            return None


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, UnicodeError):
        return ""


def _uptime_s() -> float:
    return float(Path("/proc/uptime").read_text("ascii").split()[0])


def _processes() -> int:
    return len(psutil.pids())
