"""Puts the newest of every source into one frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from aiconsole.onhost.probe.disk import RootRoom
from aiconsole.onhost.probe.gpu import GpuSource
from aiconsole.onhost.probe.host import HostSource
from aiconsole.onhost.probe.inferd import InferdSource
from aiconsole.onhost.probe.paced import Paced, Reading, clock_text
from aiconsole.onhost.probe.roster import Roster
from aiconsole.onhost.wire import Frame, HostLayout, HostReading, InferdReading


class Ticker:
    """All sources of one host; leaving its context ends the child that reads the GPUs."""

    def __init__(self, layouts: Sequence[HostLayout], interval_s: float) -> None:
        self._seq = 0
        self._host = HostSource()
        self._gpu_source = GpuSource()
        self._roster = Roster()
        self._room = Paced("disk", RootRoom())
        self._gpus = Paced("gpu", self._gpu_source)
        self._inferd = Paced("inferd", InferdSource(layouts, interval_s))

    def __enter__(self) -> Ticker:
        self._host.read()
        for paced in (self._room, self._gpus, self._inferd):
            paced.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for paced in (self._room, self._gpus, self._inferd):
            paced.stop()
        self._gpu_source.close()

    def frame(self) -> Frame:
        """The frame of now; never waits for a source."""
        errors: dict[str, str] = {}
        host = self._host_reading(errors)
        gpu = self._roster.report(self._gpus.latest())
        if gpu.error:
            errors["gpu"] = gpu.error
        inferd = self._inferd_reading(errors)
        frame = Frame(
            seq=self._seq,
            clock_unix_s=time.time(),
            host=host,
            gpus=gpu.gpus,
            gpu_state=gpu.state,
            gpu_fault=gpu.fault,
            inferd=inferd,
            errors=errors,
        )
        self._seq += 1
        return frame

    def _host_reading(self, errors: dict[str, str]) -> HostReading:
        room = self._room.latest()
        _note(errors, "disk", room)
        reading = self._host.read(room.value)
        errors.update(self._host.errors)
        return reading

    def _inferd_reading(self, errors: dict[str, str]) -> InferdReading:
        newest = self._inferd.latest()
        _note(errors, "inferd", newest)
        return newest.value or InferdReading()


def _note(errors: dict[str, str], name: str, reading: Reading[object]) -> None:
    if reading.hung_since_unix_s:
        errors[name] = f"does not answer since {clock_text(reading.hung_since_unix_s)}"
    elif reading.error:
        errors[name] = reading.error
