from __future__ import annotations

import json
from typing import Any

import pytest

from aiconsole.onhost.wire import (
    FRAME_VERSION,
    MAX_FRAME_BYTES,
    Frame,
    GpuReading,
    HostReading,
    InferdReading,
    Pressure,
    WireError,
    frame_line,
    read_frame,
)

FULL = Frame(
    seq=7,
    clock_unix_s=1_700_000_000.5,
    host=HostReading(cpu_percent=12.5, cpu_count=8, pressure_io=Pressure(1.5, None)),
    gpus=(GpuReading(0, "GPU-1", "A", power_w=0.0, throttle_reasons=("idle",)), GpuReading(1)),
    gpu_state="fault",
    gpu_fault="driver does not answer since 14:02:31 UTC",
    inferd=InferdReading(state="ready", requests_total={"2xx": 4}, running=0),
    errors={"disk": "no"},
)


def changed(**values: Any) -> bytes:
    value = json.loads(frame_line(FULL))
    for path, new in values.items():
        *way, last = path.split("__")
        place = value
        for step in way:
            place = place[int(step)] if step.isdigit() else place[step]
        place[last] = new
    return json.dumps(value).encode()


@pytest.mark.parametrize("frame", [FULL, Frame(0, 0.0, HostReading())])
def test_a_frame_comes_back_as_it_went(frame: Frame) -> None:
    line = frame_line(frame)
    assert line.count(b"\n") == 1
    assert read_frame(line) == frame


def test_unknown_is_none_and_a_zero_is_zero() -> None:
    back = read_frame(frame_line(FULL))
    assert (back.gpus[0].power_w, back.gpus[0].temperature_c) == (0.0, None)
    assert (back.inferd.running, back.inferd.waiting) == (0, None)


def test_a_whole_number_may_stand_for_a_fraction() -> None:
    assert read_frame(changed(host__cpu_percent=12)).host.cpu_percent == 12.0


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "not a line of JSON"),
        (b"\xff\xfe{", "not a line of JSON"),
        (frame_line(FULL).decode().encode("utf-16"), "not a line of JSON"),
        (frame_line(FULL)[:300], "not a line of JSON"),
        (frame_line(FULL)[200:], "not a line of JSON"),
        (b"[" * 200_000, "not a line of JSON"),
        (b"[]", "expected an object"),
        (b"null", "expected an object"),
        (b"{}", "version None"),
        (changed(version=FRAME_VERSION + 1), f"version {FRAME_VERSION + 1}"),
        (b"x" * (MAX_FRAME_BYTES + 1), "is no frame"),
        (changed(host__cpu_percent=float("nan")), "NaN"),
        (changed(host__cpu_percent=float("inf")), "Infinity"),
        (frame_line(FULL).replace(b"12.5", b"1e999"), "not a finite number"),
        (changed(host__cpu_percent=10**400), "not a finite number"),
        (changed(host__cpu_percent="12"), "expected float, got str"),
        (changed(host__cpu_count=True), "expected int, got bool"),
        (changed(host__pressure_io=[]), "expected an object"),
        (changed(gpus={}), "expected a list"),
        (changed(gpus__0__throttle_reasons=[1]), r"throttle_reasons\[0\]"),
        (changed(gpu_state="fine"), "'fine' is none of"),
        (changed(inferd__requests_total={"2xx": None}), "requests_total.2xx"),
        (changed(errors={"disk": 3}), "errors.disk"),
        (changed(surprise=1), "unknown key 'surprise'"),
    ],
)
def test_what_is_no_frame_is_refused_with_the_reason(line: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        read_frame(line)


def test_a_frame_of_eight_gpus_is_small() -> None:
    gpu = GpuReading(0, "GPU-" + "0" * 36, "NVIDIA H200", 99.0, 10**11, 10**11, 66.0, 700.0, 700.0)
    assert len(frame_line(Frame(0, 0.0, HostReading(), (gpu,) * 8))) < 6000
