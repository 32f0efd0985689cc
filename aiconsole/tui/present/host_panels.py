"""The panels of one host: what each shows small, and which curves it shows large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aiconsole import units
from aiconsole.onhost.wire import Frame
from aiconsole.telemetry.sample import HostView, MetricName
from aiconsole.tui.present.chart import Curve, chart
from aiconsole.tui.present.gpu_panel import gpu_head
from aiconsole.tui.present.line import Line, Piece, flow, line, muted

PanelName: TypeAlias = Literal["inferd", "cpu", "memory", "gpu", "network", "disk", "runs"]


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph: up to two curves on one scale."""

    title: str
    curves: tuple[tuple[MetricName, str], ...]
    label: Callable[[float], str]
    top: float | None = None
    """Upper end of the scale; None follows the readings."""
    axis: Callable[[float], str] | None = None
    """A shorter label, for the scale of a small graph."""

    def data(self, view: HostView) -> tuple[Curve, ...]:
        """The curves of a host."""
        return tuple(Curve(name, view.history.of(metric)) for metric, name in self.curves)


GRAPHS: dict[PanelName, tuple[Graph, ...]] = {
    "inferd": (
        Graph("Requests", (("requests_per_s", "requests/s"), ("errors_per_s", "errors/s")),
              units.count_text),
        Graph("Latency", (("latency_p95_s", "p95"), ("ttft_p95_s", "first token p95")),
              units.seconds_text),
        Graph("Tokens", (("tokens_per_s", "tokens/s"),), units.count_text),
    ),
    "cpu": (
        Graph("CPU", (("cpu_percent", "all cores"),), units.percent, 100.0),
        Graph("Load", (("load_1", "load of 1 minute"),), units.count_text),
    ),
    "memory": (Graph("Memory", (("memory_percent", "in use"),), units.percent, 100.0),),
    "gpu": (
        Graph("GPU", (("gpu_percent", "busy"), ("gpu_memory_percent", "memory")), units.percent,
              100.0),
        Graph("Power", (("gpu_power_w", "all GPUs"),), lambda value: f"{value:.0f} W"),
    ),
    "network": (
        Graph("Network", (("network_rx_bytes_per_s", "in"), ("network_tx_bytes_per_s", "out")),
              units.rate_text, axis=units.bytes_text),
    ),
    "disk": (
        Graph("Disk", (("disk_read_bytes_per_s", "read"), ("disk_write_bytes_per_s", "write")),
              units.rate_text, axis=units.bytes_text),
    ),
}  # fmt: skip


def panel_lines(
    name: PanelName, view: HostView, columns: int, rows: int, live: bool
) -> tuple[Line, ...]:
    """A head with the newest readings, and under it the graph that there is room for."""
    frame = view.sample.frame
    if frame is None:
        return (line(Piece("no reading yet", "dim")),)
    head = _HEADS[name](frame, columns)
    if not live:
        head = muted(head)
    room = rows - len(head)
    if room < 2 or (name == "gpu" and not frame.gpus):
        return head
    return (*head, *_charts(GRAPHS[name][0], view, columns, room, live))


def _charts(graph: Graph, view: HostView, columns: int, rows: int, live: bool) -> tuple[Line, ...]:
    curves = graph.data(view)
    if rows < 4 * len(curves) or graph.top is not None:
        curves = curves[:1]
    each = rows // len(curves)
    lines: list[Line] = []
    for curve in curves:
        lines += chart(
            curve.values, view.history.times_unix_s, columns, each, graph.axis or graph.label,
            graph.top,
            "accent" if live else "dim", curve.name if len(curves) > 1 else "",
        )  # fmt: skip
    return tuple(lines)


def _value(label: str, text: str) -> Line:
    return Piece(f"{label} ", "dim"), Piece(text)


def _cpu(frame: Frame, columns: int) -> tuple[Line, ...]:
    host = frame.host
    cores = f" of {host.cpu_count} cores" if host.cpu_count else ""
    loads = " ".join(units.count_text(v) for v in (host.load_1, host.load_5, host.load_15))
    return flow(
        columns,
        line(Piece(f"{units.percent(host.cpu_percent):>5}", "strong"), Piece(cores, "dim")),
        _value("load", loads),
    )


def _memory(frame: Frame, columns: int) -> tuple[Line, ...]:
    host = frame.host
    used, total = host.memory_used_bytes, host.memory_total_bytes
    return flow(
        columns,
        line(Piece(f"{units.percent(host.memory_percent):>5}", "strong")),
        line(Piece(units.memory_text(used)), Piece(f" of {units.memory_text(total)}", "dim")),
        _value("swap", units.memory_text(host.swap_used_bytes)) if host.swap_total_bytes else (),
    )


def _network(frame: Frame, columns: int) -> tuple[Line, ...]:
    host = frame.host
    return flow(
        columns,
        _value("in", f"{units.rate_text(host.network_rx_bytes_per_s):>9}"),
        _value("out", f"{units.rate_text(host.network_tx_bytes_per_s):>9}"),
    )


def _disk(frame: Frame, columns: int) -> tuple[Line, ...]:
    host = frame.host
    free = line(
        *_value("free", units.bytes_text(host.disk_free_bytes)),
        Piece(f" of {units.bytes_text(host.disk_total_bytes)}", "dim"),
    )
    return flow(
        columns,
        _value("read", f"{units.rate_text(host.disk_read_bytes_per_s):>9}"),
        _value("write", f"{units.rate_text(host.disk_write_bytes_per_s):>9}"),
        free,
    )


_HEADS: dict[PanelName, Callable[[Frame, int], tuple[Line, ...]]] = {
    "cpu": _cpu, "memory": _memory, "network": _network, "disk": _disk, "gpu": gpu_head,
}  # fmt: skip
