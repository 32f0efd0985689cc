"""What this machine lets us use: threads by affinity and quota, memory, and instructions."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

ENGINE_FLAGS = ("avx2", "fma", "f16c", "bmi2")
"""Instructions that the engine's wheel for x86-64 uses; without one it dies at once."""


def usable_threads(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Threads that can run at a time: more than these only wait for each other."""
    affinity = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return max(1, min(affinity, math.ceil(quota)) if quota else affinity)


def _quota(root: Path) -> float:
    """CPUs that the cgroup's quota allows, the tightest on the way up; 0 without one."""
    found = [_quota_v2(directory / "cpu.max") for directory in own_groups(root, "cpu")]
    found += [_quota_v1(directory) for directory in own_groups(root / "cpu", "cpu")]
    return min((quota for quota in found if quota > 0), default=0.0)


def own_groups(root: Path, controller: str) -> list[Path]:
    """The directories of this process's own group and of those above it, within `root`.

    Of the first version of cgroups, only the tree of one controller.
    """
    groups = [root]
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return groups
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        path = root
        for part in name.strip("/").split("/"):
            path = path / part
            groups.append(path)
    return groups


def _quota_v2(path: Path) -> float:
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return 0.0 if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return 0.0


def _quota_v1(directory: Path) -> float:
    try:
        quota = int((directory / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((directory / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0.0
    return quota / period if quota > 0 and period > 0 else 0.0


def missing_flags(cpuinfo: Path = Path("/proc/cpuinfo"), machine: str = "") -> tuple[str, ...]:
    """Instructions that the engine needs and this CPU does not show."""
    if (machine or platform.machine()) != "x86_64":
        return ()
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            present = set(value.split())
            return tuple(flag for flag in ENGINE_FLAGS if flag not in present)
    return ()


def memory_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Memory of this machine; 0 where it cannot be read."""
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def resident_bytes(pid: int) -> int:
    """Memory that a process holds now; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
