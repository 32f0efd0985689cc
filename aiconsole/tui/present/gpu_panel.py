"""The GPUs of a host, one line each; no GPU and a fault are said and not drawn as zero."""

from __future__ import annotations

from aiconsole import units
from aiconsole.onhost.wire import HARD_THROTTLES, Frame, GpuReading
from aiconsole.tui.present.line import Line, Piece, fit, line
from aiconsole.tui.present.sparkline import meter
from aiconsole.tui.present.wrap import wrap


def gpu_head(frame: Frame, columns: int) -> tuple[Line, ...]:
    """What is known of the GPUs."""
    if frame.gpu_state == "none":
        return wrap("no NVIDIA GPU in this host", columns, "dim")
    if frame.gpu_state == "unknown":
        return wrap("not read yet", columns, "dim")
    lines: list[Line] = []
    if frame.gpu_state == "fault":
        lines.append(line(Piece("✗ fault", "bad")))
        lines += wrap(frame.gpu_fault, columns)
    for gpu in frame.gpus:
        lines += _gpu_lines(gpu, columns)
    return tuple(lines)


def _gpu_lines(gpu: GpuReading, columns: int) -> list[Line]:
    title = line(Piece(f"{gpu.index} ", "dim"), Piece(gpu.name or "GPU", "strong"))
    if gpu.fault:
        return [line(*title, Piece(f"  ✗ {gpu.fault}", "bad"))]
    memory = (
        f"{units.memory_text(gpu.memory_used_bytes)} of {units.memory_text(gpu.memory_total_bytes)}"
    )
    width = max(4, min(16, columns - 8))
    lines = [
        title,
        line(Piece(f"{units.percent(gpu.utilization_percent):>5} ", "strong"),
             Piece(meter(gpu.utilization_percent, width), "accent"), Piece(f"  {memory}", "dim")),
        _sensors(gpu),
    ]  # fmt: skip
    hard = HARD_THROTTLES.intersection(gpu.throttle_reasons or ())
    if hard:
        lines.append(line(Piece(f"▲ slowed down: {', '.join(sorted(hard))}", "warn")))
    if gpu.ecc_uncorrected:
        lines.append(line(Piece(f"✗ {gpu.ecc_uncorrected} uncorrected memory errors", "bad")))
    return lines


def _sensors(gpu: GpuReading) -> Line:
    parts = []
    if gpu.temperature_c is not None:
        parts.append(f"{gpu.temperature_c:.0f} °C")
    if gpu.power_w is not None:
        limit = f" of {gpu.power_limit_w:.0f}" if gpu.power_limit_w else ""
        parts.append(f"{gpu.power_w:.0f}{limit} W")
    if gpu.sm_clock_mhz is not None:
        parts.append(f"{gpu.sm_clock_mhz} MHz")
    return line(Piece(fit("", 6)), Piece(" · ".join(parts), "dim"))
