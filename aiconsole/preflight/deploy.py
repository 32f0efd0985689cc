"""What a host must fulfil before a deploy may touch it; pure, from its facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from aiconsole.fleet.facts import Facts
from aiconsole.onhost.wire import HostLayout
from aiconsole.preflight.verdict import Level, Verdict
from aiconsole.units import bytes_text, span_text

OLDEST_PYTHON = (3, 10)
ARCHITECTURES = ("x86_64", "aarch64")
"""Those that the engine's wheels are built for."""

_CLOCK_WARN_S = 5.0
_CLOCK_FAIL_S = 3600.0
"""Beyond it certificates fail and logs and runs of the fleet cannot be put in order."""

_SPARE_BYTES = 64_000_000
"""Room that a run leaves for its journal and for logs."""


@dataclass(frozen=True, slots=True)
class DeployNeeds:
    """What one deploy takes of a host."""

    layout: HostLayout
    memory_bytes: int
    """Of one slot with the model."""
    upload_bytes: int
    """Of the layers and the model that the host does not hold, packed."""
    unpacked_bytes: int
    """Of the layers that the host does not hold."""
    port: int
    """0 where the service holds its port already."""


_Check: TypeAlias = Callable[[Facts, DeployNeeds], list[Verdict]]
_Look: TypeAlias = Callable[[Facts], list[Verdict]]


def check_tool(facts: Facts) -> list[Verdict]:
    """What even a look at the host needs: a Python that runs the tool."""
    if facts.python_version is None:
        return [
            Verdict("python", "fail", "there is no python3", "On the host: apt-get install python3")
        ]
    if facts.python_version[:2] < OLDEST_PYTHON:
        found = ".".join(map(str, facts.python_version))
        return [
            Verdict(
                "python",
                "fail",
                f"Python {found} is too old, 3.10 or newer is needed",
                "Use a release that has it (Debian 12, Ubuntu 22.04), or install a newer python3",
            )
        ]
    return []


def check_deploy(facts: Facts, needs: DeployNeeds) -> list[Verdict]:
    """What a release asks of a host, failures only; an empty list is a host that is fine."""
    checks: tuple[_Check, ...] = (_memory, _disk, _port)
    return [verdict for check in checks for verdict in check(facts, needs)]


def check_machine(facts: Facts, *, computes: bool = True) -> list[Verdict]:
    """What every release asks of a host, failures and warnings; known before layers are built.

    Args:
        facts: The host.
        computes: Whether our own engine runs there, which needs instructions of the processor.
    """
    checks: tuple[_Look, ...] = (_architecture, _clock)
    if computes:
        checks = (_architecture, _cpu, _clock)
    return [verdict for check in checks for verdict in check(facts)]


def _architecture(facts: Facts) -> list[Verdict]:
    if facts.architecture not in ARCHITECTURES:
        text = f"its processor is {facts.architecture or 'unknown'}"
        return [Verdict("architecture", "fail", text, f"Supported are {', '.join(ARCHITECTURES)}")]
    if not facts.glibc:
        text = "its C library is not glibc"
        return [Verdict("glibc", "fail", text, "Use Debian, Ubuntu or another system with glibc")]
    return []


def _cpu(facts: Facts) -> list[Verdict]:
    if not facts.missing_cpu_flags:
        return []
    missing = ", ".join(facts.missing_cpu_flags)
    hint = "On a virtual machine set the CPU type to `host`; the engine is built for AVX2"
    return [Verdict("cpu", "fail", f"the processor lacks {missing}", hint)]


def _memory(facts: Facts, needs: DeployNeeds) -> list[Verdict]:
    total = min(facts.memory_total_bytes, facts.memory_limit_bytes or facts.memory_total_bytes)
    if needs.memory_bytes <= total:
        return []
    text = (
        f"the model needs {bytes_text(needs.memory_bytes)} of memory, the host has "
        + bytes_text(total)
    )
    return [Verdict("memory", "fail", text, "Take a smaller model or a stronger quantisation")]


def _disk(facts: Facts, needs: DeployNeeds) -> list[Verdict]:
    """Count what goes onto each filesystem; opt and var may share one."""
    wanted: dict[str, int] = {}
    verdicts: list[Verdict] = []
    for path, size_bytes in (
        (needs.layout.opt, needs.unpacked_bytes),
        (needs.layout.var, needs.upload_bytes),
    ):
        space = facts.space_at(path)
        if space is None:
            continue
        if space.read_only:
            text = f"{space.mount} is mounted read-only"
            verdicts.append(
                Verdict("read-only", "fail", text, "Remount it writable, and look into why")
            )
            continue
        wanted[space.mount] = wanted.get(space.mount, 0) + size_bytes
        needed = wanted[space.mount] + _SPARE_BYTES
        if size_bytes and needed > space.free_bytes:
            text = (
                f"needs {bytes_text(needed)} on {space.mount}, "
                f"{bytes_text(space.free_bytes)} are free"
            )
            verdicts.append(Verdict("disk", "fail", text, "Free space, or take a smaller model"))
    return verdicts


def _clock(facts: Facts) -> list[Verdict]:
    off_s = abs(facts.clock_offset_s)
    if off_s <= _CLOCK_WARN_S + facts.clock_error_s:
        return []
    side = "ahead of" if facts.clock_offset_s > 0 else "behind"
    text = f"its clock is {span_text(off_s)} {side} this machine's"
    level: Level = "fail" if off_s > _CLOCK_FAIL_S else "warn"
    return [Verdict("clock", level, text, "Set one of the clocks: timedatectl set-ntp true")]


def _port(facts: Facts, needs: DeployNeeds) -> list[Verdict]:
    taken = facts.listener_on(needs.port) if needs.port else None
    if taken is None:
        return []
    program = taken.program or "another program"
    text = f"port {needs.port} is taken by {program} (on {taken.address})"
    return [Verdict("port", "fail", text, "Stop it, or choose another port with --listen")]
