"""Whether the memory of now holds what an engine is about to load."""

from __future__ import annotations

from pathlib import Path

from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.engine.sizing import Sizing
from aiconsole.onhost.inferd.gguf import GgufHeader
from aiconsole.onhost.inferd.start_error import StartError
from aiconsole.onhost.wire.sizing import weights_memory_bytes

_CLEARLY = 1.15
"""An estimate is one: a load is refused only where it is past what is free by this factor."""
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED_BYTES = 1 << 60
_MB = 1_000_000


def needed_bytes(header: GgufHeader, sizing: Sizing) -> int:
    """Estimate of an engine's memory: weights, the copy of repacked ones, and the context."""
    weights = weights_memory_bytes(header.size_bytes, header.q4_0_bytes)
    return weights + header.kv_bytes_per_token * sizing.pool_tokens


def check_memory(header: GgufHeader, sizing: Sizing) -> None:
    """Refuse a load that would end in the kernel's out-of-memory killer.

    Raises:
        StartError: With the numbers and what to change.
    """
    available = available_bytes()
    needed = needed_bytes(header, sizing)
    context = header.kv_bytes_per_token * sizing.pool_tokens
    certain = needed - context if header.context_is_cheaper else needed
    if not available or certain <= available * _CLEARLY:
        return
    raise StartError(
        "The model does not fit into the memory that is free",
        f"it needs about {needed // _MB:,} MB ({context // _MB:,} MB of them for a context of"
        f" {sizing.pool_tokens:,} tokens), and {available // _MB:,} MB are available",
        "Take a smaller or more strongly quantised model, lower engine.context_tokens or"
        " engine.slots, or free memory; engine.memory_check = false loads it all the same.",
    )


def available_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUPS) -> int:
    """Memory that can be had without swapping, by machine and cgroups; 0 where it is not known."""
    found = [_of_machine(meminfo)]
    found += [_of_group_v2(group) for group in cpu.own_groups(cgroup, "memory")]
    found += [_of_group_v1(group) for group in cpu.own_groups(cgroup / "memory", "memory")]
    return min((value for value in found if value is not None), default=0)


def _of_machine(meminfo: Path) -> int | None:
    try:
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def _of_group_v2(group: Path) -> int | None:
    return _left(group, "memory.max", "memory.current", ("inactive_file", "active_file"))


def _of_group_v1(group: Path) -> int | None:
    files = ("total_inactive_file", "total_active_file")
    return _left(group, "memory.limit_in_bytes", "memory.usage_in_bytes", files)


def _left(group: Path, limit: str, usage: str, files: tuple[str, ...]) -> int | None:
    """What a group may still take, where the cache of files in it counts as free."""
    try:
        most = int((group / limit).read_text(encoding="ascii"))
        used = int((group / usage).read_text(encoding="ascii"))
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        stat = dict(line.split() for line in lines)
        cached = sum(int(stat.get(name, 0)) for name in files)
    except (OSError, ValueError):
        return None  # no such file, or `max`
    if most >= _UNLIMITED_BYTES:
        return None
    return max(0, most - max(0, used - cached))
