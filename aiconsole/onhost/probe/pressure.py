"""Pressure stall information of the kernel, `/proc/pressure/*`."""

from __future__ import annotations

from pathlib import Path

from aiconsole.onhost.wire import Pressure


def read_pressure(resource: str, proc: Path = Path("/proc")) -> Pressure | None:
    """Pressure on `cpu`, `memory` or `io`; None where the kernel does not measure it."""
    try:
        text = (proc / "pressure" / resource).read_text("ascii", "replace")
    except OSError:
        # Absent without CONFIG_PSI; present and EOPNOTSUPP where it is off at boot.
        return None
    return parse_pressure(text)


def parse_pressure(text: str) -> Pressure | None:
    """Read lines such as `some avg10=0.12 avg60=... total=...`."""
    averages: dict[str, float] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        for part in rest.split():
            name, _, value = part.partition("=")
            if name == "avg10" and (number := _percent(value)) is not None:
                averages[kind] = number
    if not averages:
        return None
    return Pressure(some_percent=averages.get("some"), full_percent=averages.get("full"))


def _percent(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0.0 <= number <= 100.0 else None
