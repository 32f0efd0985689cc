"""Which GPUs this host should have: all that were seen once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from aiconsole.onhost.probe.gpu import GpuAnswer
from aiconsole.onhost.probe.paced import Reading, clock_text
from aiconsole.onhost.wire import GpuReading, GpuState


@dataclass(frozen=True, slots=True)
class GpuReport:
    """The GPU part of a frame."""

    state: GpuState
    fault: str
    gpus: tuple[GpuReading, ...]
    error: str = ""


class Roster:
    """Turns readings of the driver into reports in which no GPU is silently missing."""

    def __init__(self) -> None:
        self._seen: dict[str, GpuReading] = {}
        """Identity alone, by UUID: an index may pass to another GPU when the driver restarts."""
        self._gone_since: dict[str, float] = {}

    def report(self, reading: Reading[GpuAnswer]) -> GpuReport:
        """The report of the newest reading."""
        if reading.hung_since_unix_s:
            since = clock_text(reading.hung_since_unix_s)
            return self._without(f"driver does not answer since {since}")
        answer = reading.value
        if answer is None:
            return self._without(reading.error) if reading.error else GpuReport("unknown", "", ())
        if answer.fault or (answer.state != "ok" and self._seen):
            return self._without(answer.fault or "the driver shows no GPU any more")
        return self._with(answer)

    def _without(self, fault: str) -> GpuReport:
        return GpuReport("fault", fault, _ordered(self._seen.values()))

    def _with(self, answer: GpuAnswer) -> GpuReport:
        present = {gpu.uuid for gpu in answer.gpus if gpu.uuid}
        missing = {uuid: gpu for uuid, gpu in self._seen.items() if uuid not in present}
        gpus = [self._named(gpu, missing) for gpu in answer.gpus]
        for gpu in answer.gpus:
            if gpu.uuid:
                self._seen[gpu.uuid] = GpuReading(gpu.index, gpu.uuid, gpu.name)
        self._gone_since = {uuid: self._gone_since.get(uuid, time.time()) for uuid in missing}
        for uuid, gpu in missing.items():
            gpus.append(replace(gpu, fault=f"gone since {clock_text(self._gone_since[uuid])}"))
        ordered = _ordered(gpus)
        fault = _fault(ordered)
        state: GpuState = "fault" if fault else answer.state
        return GpuReport(state, fault, ordered, "; ".join(answer.notes))

    def _named(self, gpu: GpuReading, missing: dict[str, GpuReading]) -> GpuReading:
        """A GPU that was refused before it could say its name is still the one of its index."""
        for uuid, known in missing.items():
            if not gpu.uuid and known.index == gpu.index:
                del missing[uuid]
                return replace(known, fault=gpu.fault)
        return gpu


def _ordered(gpus: Iterable[GpuReading]) -> tuple[GpuReading, ...]:
    return tuple(sorted(gpus, key=lambda gpu: (gpu.index, gpu.uuid)))


def _fault(gpus: tuple[GpuReading, ...]) -> str:
    bad = [gpu for gpu in gpus if gpu.fault]
    if not bad:
        return ""
    named = ", ".join(f"GPU {gpu.index}: {gpu.fault}" for gpu in bad)
    return f"{len(bad)} of {len(gpus)} GPUs cannot be read: {named}"
