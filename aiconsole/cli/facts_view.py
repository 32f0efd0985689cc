"""Facts of a host as lines and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiconsole.fleet.facts import Facts, Space
from aiconsole.units import bytes_text, memory_text, span_text


def facts_document(facts: Facts) -> dict[str, Any]:
    """Return the facts for `--json`."""
    return asdict(facts)


def facts_summary(facts: Facts) -> str:
    """Return the one line that says what a host is."""
    system = facts.os_pretty_name or facts.kernel
    memory = memory_text(facts.memory_total_bytes)
    return f"{system}, {facts.architecture}, {facts.cpu_count} CPUs, {memory}, {_python(facts)}"


def facts_fields(facts: Facts) -> list[tuple[str, str]]:
    """Return name and value of each line of `hosts show`."""
    limit = facts.memory_limit_bytes
    memory = f"{memory_text(facts.memory_available_bytes)} free of "
    memory += memory_text(facts.memory_total_bytes)
    return [
        ("system", f"{facts.os_pretty_name or 'unknown'}, kernel {facts.kernel}"),
        (
            "processor",
            f"{facts.cpu_count} x {facts.cpu_model or facts.architecture}{_lacks(facts)}",
        ),
        ("memory", memory + (f", limited to {memory_text(limit)}" if limit else "")),
        ("python", _python(facts)),
        ("glibc", facts.glibc or "another C library"),
        ("systemd", str(facts.systemd_version or "does not run here")),
        ("user", f"{facts.user} (uid {facts.uid}){', sudo is there' if facts.has_sudo else ''}"),
        ("GPU driver", f"NVIDIA {facts.nvidia_driver}" if facts.nvidia_driver else "none"),
        ("libgomp", "there" if facts.has_libgomp else "missing"),
        ("up", span_text(facts.uptime_s)),
        ("clock", f"{facts.clock_offset_s:+.1f} s against this machine"),
        *((f"disk {space.mount}", _space(space)) for space in _by_mount(facts)),
        ("listening", ", ".join(_listeners(facts)) or "nothing"),
    ]


def _python(facts: Facts) -> str:
    if facts.python_version is None:
        return "no python3"
    return f"python3 {'.'.join(map(str, facts.python_version))}"


def _lacks(facts: Facts) -> str:
    lacking = facts.missing_cpu_flags
    return f", lacks {' '.join(lacking)}" if lacking else ""


def _by_mount(facts: Facts) -> list[Space]:
    """One space for each filesystem, in the order of the facts."""
    return list({space.mount: space for space in reversed(facts.spaces)}.values())[::-1]


def _space(space: Space) -> str:
    marks = [mark for mark, on in (("read-only", space.read_only), ("noexec", space.noexec)) if on]
    text = f"{bytes_text(space.free_bytes)} free of {bytes_text(space.total_bytes)}"
    return ", ".join([text, *marks])


def _listeners(facts: Facts) -> list[str]:
    ports = {(one.port, one.program) for one in facts.listeners}
    return [f"{port} {program}".strip() for port, program in sorted(ports)]
