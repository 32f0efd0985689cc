"""Bytes through disks and network interfaces, each counted once."""

from __future__ import annotations

from pathlib import Path

import psutil

_SYS = Path("/sys")


def disk_bytes(sys: Path = _SYS) -> tuple[int, int] | None:
    """Bytes read and written since the boot by all physical disks; None where none is seen.

    Partitions, LVM and RAID pass on the same bytes; only what has a device behind it counts.
    """
    counters = psutil.disk_io_counters(perdisk=True, nowrap=False)
    physical = [c for name, c in counters.items() if (sys / "block" / name / "device").exists()]
    if not physical:
        return None
    return sum(c.read_bytes for c in physical), sum(c.write_bytes for c in physical)


def network_bytes(sys: Path = _SYS) -> tuple[int, int] | None:
    """Bytes received and sent since the boot; None where there is only the loopback.

    Bridges and bonds pass on what their members count already, and a veth pair's other
    end is in a container whose traffic leaves by the host's own interface.
    """
    counters = psutil.net_io_counters(pernic=True, nowrap=False)
    own = [c for name, c in counters.items() if not _passes_on(name, sys)]
    if not own:
        return None
    return sum(c.bytes_recv for c in own), sum(c.bytes_sent for c in own)


def _passes_on(name: str, sys: Path) -> bool:
    if name == "lo" or name.startswith("veth"):
        return True
    place = sys / "class" / "net" / name
    return (place / "bridge").exists() or (place / "bonding").exists()
