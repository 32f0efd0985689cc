"""Services without hosts: readings and events come from the test, in the product's own types."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aiconsole import paths
from aiconsole.control.events import Event
from aiconsole.errors import AiconsoleError
from aiconsole.fleet.host import Host
from aiconsole.onhost.wire import (
    Frame,
    GpuReading,
    HostLayout,
    HostReading,
    HostStatus,
    InferdReading,
    RunSummary,
    ServiceState,
)
from aiconsole.question import Ask
from aiconsole.telemetry.sample import FleetSnapshot, History, HostView, Sample

if TYPE_CHECKING:
    from aiconsole.services import Services

GIB = 2**30
NOW_S = 1000.0
"""The moment that the screen shows, by the monotonic clock that the tests hold still."""


def frame(seq: int = 40, **inferd: Any) -> Frame:
    """A busy host with four cores and no GPU."""
    given: dict[str, Any] = {
        "state": "ready", "release_id": "builtin-3f9a2c81", "slot": "a",
        "address": "127.0.0.1:8480", "running": 3, "waiting": 0, "requests_per_s": 12.34,
        "errors_per_s": 0.0, "tokens_per_s": 456.0, "latency_p50_s": 0.123,
        "latency_p95_s": 0.345, "ttft_p95_s": 0.0456,
    }  # fmt: skip
    return Frame(
        seq=seq, clock_unix_s=time.time(), gpu_state="none",
        host=HostReading(
            cpu_percent=42.4, cpu_count=4, load_1=1.23, load_5=1.1, load_15=0.9,
            memory_total_bytes=8 * GIB, memory_available_bytes=5 * GIB,
            memory_used_bytes=3 * GIB, swap_total_bytes=0, swap_used_bytes=0,
            disk_total_bytes=100 * GIB, disk_free_bytes=60 * GIB, disk_read_bytes_per_s=1.2e6,
            disk_write_bytes_per_s=3.4e6, network_rx_bytes_per_s=5.6e6,
            network_tx_bytes_per_s=7.8e5, uptime_s=93784.0, boot_id="b", processes=123,
        ),
        inferd=InferdReading(**(given | inferd)),
    )  # fmt: skip


def with_gpus(base: Frame, *gpus: GpuReading, fault: str = "") -> Frame:
    """The same host with GPUs."""
    return replace(base, gpus=gpus, gpu_state="fault" if fault else "ok", gpu_fault=fault)


def history(points: int = 60) -> History:
    """Two minutes of readings that rise and fall."""
    now = time.time()
    wave = tuple(50 + 45 * ((i % 20) / 10 - 1) for i in range(points))
    return History(
        tuple(now - 2 * (points - i) for i in range(points)),
        {
            "cpu_percent": wave, "memory_percent": tuple(37.5 for _ in wave),
            "load_1": tuple(v / 40 for v in wave), "requests_per_s": tuple(v / 5 for v in wave),
            "tokens_per_s": tuple(v * 9 for v in wave),
            "latency_p95_s": tuple(v / 200 for v in wave),
            "ttft_p95_s": tuple(v / 900 for v in wave),
            "network_rx_bytes_per_s": tuple(v * 1e5 for v in wave),
            "network_tx_bytes_per_s": tuple(v * 2e4 for v in wave),
            "disk_read_bytes_per_s": tuple(None if i < 5 else v * 3e4 for i, v in enumerate(wave)),
            "disk_write_bytes_per_s": tuple(v * 6e4 for v in wave),
            "running": tuple(v // 20 for v in wave), "waiting": tuple(0.0 for _ in wave),
            "errors_per_s": tuple(0.0 for _ in wave),
        },
    )  # fmt: skip


def up(name: str, reading: Frame | None = None, age_s: float = 0.5) -> HostView:
    """A host that answers."""
    return HostView(
        Sample(
            name, "up", since_unix_s=time.time() - 600, frame=reading or frame(),
            received_unix_s=time.time() - age_s, received_monotonic_s=NOW_S - age_s,
        ),
        history(),
    )  # fmt: skip


def down(name: str, reason: str = "connection refused by 10.0.0.9 port 22") -> HostView:
    """A host that does not answer."""
    return HostView(Sample(name, "unreachable", reason=reason, since_unix_s=time.time() - 75))


def fleet(*views: HostView) -> FleetSnapshot:
    """All hosts at this moment."""
    return FleetSnapshot(views, time.time(), NOW_S, seq=1)


@dataclass
class Script:
    """What the doubles do and remember."""

    hosts: tuple[Host, ...]
    snapshot: FleetSnapshot
    play: Callable[[str, Ask], AsyncIterator[Event]] | None = None
    runs: tuple[RunSummary, ...] = ()
    releases: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)
    """Hosts whose service was asked for its state."""
    pool: Any = None
    watched: tuple[str, ...] = ()
    """Hosts that the collector was told to watch after the first ones."""
    open_error: AiconsoleError | None = None
    calls: list[tuple[str, tuple[str, ...], Any]] = field(default_factory=list)
    cancelled: list[tuple[str, str]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ask: Ask | None = None

    def tell(self, snapshot: FleetSnapshot) -> None:
        """New readings."""
        self.snapshot = snapshot
        self.changed.set()

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Services]:
        """What the console is given to open its services with."""
        return _opened(self, ask)


@asynccontextmanager
async def _opened(script: Script, ask: Ask) -> AsyncGenerator[Services, None]:
    if script.open_error is not None:
        raise script.open_error
    script.ask = ask
    yield cast("Services", _Services(script))


class _Services:
    def __init__(self, script: Script) -> None:
        self._script = script
        self.inventory = self
        self.operations = _Operations(script)
        self.pool = script.pool

    @property
    def hosts(self) -> tuple[Host, ...]:
        return self._script.hosts

    @property
    def file(self) -> Path:
        return paths.hosts_file()

    def reload(self) -> None:
        if self._script.open_error is not None:
            raise self._script.open_error

    def get(self, name: str) -> Host:
        return next(host for host in self._script.hosts if host.name == name)

    @asynccontextmanager
    async def collector(self, hosts: Sequence[Host]) -> AsyncGenerator[_Collector, None]:
        yield _Collector(self._script)


class _Collector:
    def __init__(self, script: Script) -> None:
        self._script = script

    async def watch(self, hosts: Sequence[Host]) -> None:
        self._script.watched = tuple(host.name for host in hosts)

    async def changes(self, interval_s: float) -> AsyncIterator[FleetSnapshot]:
        while True:
            self._script.changed.clear()
            yield self._script.snapshot
            await self._script.changed.wait()


class _Operations:
    def __init__(self, script: Script) -> None:
        self._script = script

    def __getattr__(self, verb: str) -> Any:
        def begin(hosts: Sequence[Host], options: Any, ask: Ask) -> AsyncIterator[Event]:
            self._script.calls.append((verb, tuple(host.name for host in hosts), options))
            assert self._script.play is not None
            return self._script.play(verb, ask)

        return begin

    def attach(self, host: Host, run_id: str) -> AsyncIterator[Event]:
        self._script.calls.append(("attach", (host.name,), run_id))
        assert self._script.play is not None
        assert self._script.ask is not None
        return self._script.play("attach", self._script.ask)

    async def cancel(self, host: Host, run_id: str) -> None:
        self._script.cancelled.append((host.name, run_id))

    async def status(self, host: Host) -> HostStatus:
        self._script.asked.append(host.name)
        releases = tuple({"id": release} for release in self._script.releases)
        return HostStatus(HostLayout.system(), ServiceState(), (), releases, self._script.runs)

    async def runs(self, host: Host) -> tuple[RunSummary, ...]:
        return self._script.runs
