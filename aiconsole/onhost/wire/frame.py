"""One frame of the probe: what a host is doing now, as one line of JSON a tick.

In every shape here None means *unknown*: not supported, not answered, or not measured yet. A zero
was measured. Rates are computed on the host, over the time since the frame before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from aiconsole.onhost.wire.codec import WireError, from_json, to_json

FRAME_VERSION = 1
"""Raised with every change of a field; a console replaces a probe that speaks another one."""

MAX_FRAME_BYTES = 1024 * 1024
"""A frame of eight GPUs has 5 kB; a longer line than this is not a frame."""

GpuState: TypeAlias = Literal["unknown", "none", "ok", "fault"]
"""`unknown`: not read yet. `none`: no NVIDIA GPU in this host. `fault`: `Frame.gpu_fault` says."""

InferdState: TypeAlias = Literal[
    "unknown", "absent", "stopped", "starting", "ready", "not-ready", "no-answer"
]
"""`absent`: never deployed here. `starting`: its socket is held, no slot answers yet.
`not-ready`: it answers and says why not. `no-answer`: it should serve and does not."""

HARD_THROTTLES = frozenset({"hw-slowdown", "hw-thermal", "hw-power-brake"})
"""Reasons of a slower clock that are faults; a software power cap under load is normal."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """Stall of one resource (PSI) over the last 10 s."""

    some_percent: float | None = None
    """Share of time in which at least one task waited."""
    full_percent: float | None = None
    """Share of time in which all tasks waited; None for the CPU on kernels without it."""


@dataclass(frozen=True, slots=True)
class HostReading:
    """The machine."""

    cpu_percent: float | None = None
    """Of all cores together, 0 to 100, over the last tick; None in the first frame."""
    cpu_count: int | None = None
    load_1: float | None = None
    load_5: float | None = None
    load_15: float | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    memory_used_bytes: int | None = None
    """Total less available."""
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    pressure_cpu: Pressure | None = None
    pressure_memory: Pressure | None = None
    pressure_io: Pressure | None = None
    disk_total_bytes: int | None = None
    """Of the root filesystem."""
    disk_free_bytes: int | None = None
    """What an ordinary user may still write to the root filesystem."""
    disk_read_bytes_per_s: float | None = None
    """All physical disks together."""
    disk_write_bytes_per_s: float | None = None
    network_rx_bytes_per_s: float | None = None
    """All interfaces but the loopback."""
    network_tx_bytes_per_s: float | None = None
    uptime_s: float | None = None
    boot_id: str = ""
    """Changes with every boot."""
    processes: int | None = None

    @property
    def memory_percent(self) -> float | None:
        """Memory in use, 0 to 100."""
        return percent(self.memory_used_bytes, self.memory_total_bytes)

    @property
    def disk_percent(self) -> float | None:
        """Root filesystem in use, 0 to 100."""
        if self.disk_free_bytes is None or self.disk_total_bytes is None:
            return None
        return percent(self.disk_total_bytes - self.disk_free_bytes, self.disk_total_bytes)


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One GPU; what its board or driver does not support is None."""

    index: int
    uuid: str = ""
    name: str = ""
    utilization_percent: float | None = None
    """Share of time in which a kernel ran."""
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    """The limit in force."""
    sm_clock_mhz: int | None = None
    throttle_reasons: tuple[str, ...] | None = None
    """Why the clock is below its most: `idle`, `application-clocks`, `sw-power-cap`,
    `hw-slowdown`, `sync-boost`, `sw-thermal`, `hw-thermal`, `hw-power-brake`, `display-clocks`,
    or `0x...` for a bit that has no name here. Empty: at full clock. See `HARD_THROTTLES`."""
    ecc_uncorrected: int | None = None
    """Uncorrected memory errors since the driver was loaded."""
    fault: str = ""
    """Why this GPU cannot be read, `GPU is lost`; its values are None then."""

    @property
    def memory_percent(self) -> float | None:
        """Memory in use, 0 to 100."""
        return percent(self.memory_used_bytes, self.memory_total_bytes)


@dataclass(frozen=True, slots=True)
class InferdReading:
    """The inference service as the host's probe sees it."""

    state: InferdState = "unknown"
    reason: str = ""
    """Why it is not ready, in its own or the probe's words."""
    release_id: str = ""
    slot: str = ""
    address: str = ""
    """`host:port` that clients use."""
    instance: str = ""
    """Changes with every start of the daemon; totals start again with it."""
    requests_total: dict[str, int] | None = None
    """Finished requests by class of status, `2xx`, `4xx`, `5xx`, since the instance started."""
    failed_total: int | None = None
    """Finished with 5xx or cut by the daemon, since the instance started."""
    running: int | None = None
    waiting: int | None = None
    prompt_tokens_total: int | None = None
    completion_tokens_total: int | None = None
    requests_per_s: float | None = None
    """Finished ones, over the last reading."""
    errors_per_s: float | None = None
    tokens_per_s: float | None = None
    """Tokens written, over the last reading."""
    latency_p50_s: float | None = None
    """Of the requests finished since the reading before; None where there was none."""
    latency_p95_s: float | None = None
    ttft_p95_s: float | None = None
    """Time to the first token, of the same requests."""


@dataclass(frozen=True, slots=True)
class Frame:
    """All that one tick says about a host."""

    seq: int
    """From 0 in each run of the probe."""
    clock_unix_s: float
    """The host's own clock; it may jump."""
    host: HostReading
    gpus: tuple[GpuReading, ...] = ()
    """Every GPU seen since the probe started; one that has gone stays, with its `fault`."""
    gpu_state: GpuState = "unknown"
    gpu_fault: str = ""
    """`driver does not answer since 14:02:31`; empty unless `gpu_state` is `fault`."""
    inferd: InferdReading = field(default_factory=InferdReading)
    errors: dict[str, str] = field(default_factory=dict)
    """What could not be read, by collector (`disk`, `gpu`, `inferd`): one line each."""
    version: int = FRAME_VERSION


def percent(part: float | None, whole: float | None) -> float | None:
    """The share of a whole, 0 to 100; None where either is unknown or the whole is nothing."""
    if part is None or not whole:
        return None
    return 100.0 * part / whole


def frame_line(frame: Frame) -> bytes:
    """The frame as one line of JSON, with its newline."""
    return json.dumps(to_json(frame), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def read_frame(line: bytes) -> Frame:
    """Read one line of a probe; nothing in it is trusted.

    Raises:
        WireError: Too long, not JSON, a number that is none (NaN), another version or shape.
    """
    if len(line) > MAX_FRAME_BYTES:
        raise WireError(f"a line of {len(line)} bytes is no frame")
    try:
        # Decoded here: left to itself json would also take UTF-16, in which text can hide.
        value = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except WireError:
        raise
    except (ValueError, RecursionError) as error:
        raise WireError(f"not a line of JSON: {error}") from error
    if isinstance(value, dict) and value.get("version") != FRAME_VERSION:
        seen = value.get("version")
        raise WireError(f"the probe speaks version {seen!r} of the frame, not {FRAME_VERSION}")
    return from_json(Frame, value)


def _refuse_constant(name: str) -> Any:
    raise WireError(f"{name} is no reading")
