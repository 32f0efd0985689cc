"""The watched child with the real pynvml over the C stand-in."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pynvml
import pytest

from aiconsole.onhost.probe.gpu import GpuAnswer, GpuSource, parse_answer
from aiconsole.onhost.probe.nvml import has_nvidia_gpu, reasons, without_driver
from aiconsole.onhost.probe.paced import Paced, Reading
from aiconsole.onhost.probe.roster import GpuReport, Roster
from aiconsole.onhost.wire import GpuReading
from tests.fixtures.nvml import StandIn, activate

UUID = "GPU-00000000-0000-0000-0000-{:012d}"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return StandIn(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def standin(library: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    activate(library, monkeypatch)
    library.says()
    return library


@pytest.fixture
def source() -> Iterator[GpuSource]:
    source = GpuSource(retry_s=0.0, absent_retry_s=3600.0)
    yield source
    source.close()


def ask(source: GpuSource) -> GpuReport:
    return Roster().report(Reading(value=source.read()))


def test_two_gpus_with_values(standin: StandIn, source: GpuSource) -> None:
    standin.says("count 2", "1.utilization 98", "1.power 349900", "1.reasons 68", "1.ecc 2")
    answer = source.read()
    assert (answer.state, answer.fault, answer.notes) == ("ok", "", ())
    assert answer.gpus == (
        GpuReading(
            index=0,
            uuid=UUID.format(0),
            name="Stand-in GPU",
            utilization_percent=37.0,
            memory_total_bytes=24_000_000_000,
            memory_used_bytes=8_000_000_000,
            temperature_c=61.0,
            power_w=212.5,
            power_limit_w=350.0,
            sm_clock_mhz=1410,
            throttle_reasons=(),
            ecc_uncorrected=0,
        ),
        GpuReading(
            index=1,
            uuid=UUID.format(1),
            name="Stand-in GPU",
            utilization_percent=98.0,
            memory_total_bytes=24_000_000_000,
            memory_used_bytes=8_000_000_000,
            temperature_c=61.0,
            power_w=349.9,
            power_limit_w=350.0,
            sm_clock_mhz=1410,
            throttle_reasons=("sw-power-cap", "hw-thermal"),
            ecc_uncorrected=2,
        ),
    )


def test_what_a_board_does_not_support_is_unknown_and_no_fault(
    standin: StandIn, source: GpuSource
) -> None:
    calls = ("utilization", "memory", "temperature", "power", "limit", "clock", "reasons", "ecc")
    standin.says(*(f"0.{call}.error 3" for call in calls))
    answer = source.read()
    assert answer.notes == ()
    assert answer.gpus == (GpuReading(0, UUID.format(0), "Stand-in GPU"),)


def test_a_zero_is_a_reading(standin: StandIn, source: GpuSource) -> None:
    standin.says("0.utilization 0", "0.power 0", "0.temperature 0", "0.memory 0")
    gpu = source.read().gpus[0]
    values = (gpu.utilization_percent, gpu.power_w, gpu.temperature_c, gpu.memory_used_bytes)
    assert values == (0.0, 0.0, 0.0, 0)


def test_an_unexpected_error_of_one_call_is_noted(standin: StandIn, source: GpuSource) -> None:
    standin.says("0.power.error 999")
    answer = source.read()
    assert answer.gpus[0].power_w is None
    assert answer.notes == ("GPU 0: power: Unknown Error",)


def test_a_lost_gpu_is_a_fault_of_its_own(standin: StandIn, source: GpuSource) -> None:
    standin.says("count 2")
    roster = Roster()
    roster.report(Reading(value=source.read()))
    standin.says("count 2", "1.error 15")
    report = roster.report(Reading(value=source.read()))
    assert (report.state, report.fault) == (
        "fault",
        "1 of 2 GPUs cannot be read: GPU 1: GPU is lost",
    )
    assert report.gpus[1] == GpuReading(1, UUID.format(1), "Stand-in GPU", fault="GPU is lost")
    assert report.gpus[0].utilization_percent == 37.0
    # Its handle is refused from then on; it is still the GPU of that name.
    again = roster.report(Reading(value=source.read()))
    assert again.gpus[1] == report.gpus[1]
    standin.says("count 2")
    healed = roster.report(Reading(value=source.read()))
    assert (healed.state, healed.fault) == ("ok", "")


def test_a_gpu_that_is_gone_stays_on_the_list(standin: StandIn, source: GpuSource) -> None:
    standin.says("count 3")
    roster = Roster()
    roster.report(Reading(value=source.read()))
    standin.says("count 2")
    report = roster.report(Reading(value=source.read()))
    assert report.state == "fault"
    assert report.fault.startswith("1 of 3 GPUs cannot be read: GPU 2: gone since ")
    assert [gpu.uuid for gpu in report.gpus] == [UUID.format(n) for n in range(3)]
    standin.says("count 0")
    report = roster.report(Reading(value=source.read()))
    assert (report.fault, len(report.gpus)) == ("the driver shows no GPU any more", 3)


def test_indices_that_moved_do_not_hide_which_gpu_is_gone() -> None:
    a, b, c = (GpuReading(n, f"uuid-{n}", "x") for n in range(3))
    roster = Roster()
    roster.report(Reading(value=GpuAnswer("ok", gpus=(a, b, c))))
    moved = GpuReading(1, "uuid-2", "x", utilization_percent=5.0)
    report = roster.report(Reading(value=GpuAnswer("ok", gpus=(a, moved))))
    gone = [gpu.uuid for gpu in report.gpus if gpu.fault]
    assert gone == ["uuid-1"]


def test_a_driver_error_is_a_fault(standin: StandIn, source: GpuSource) -> None:
    standin.says("init 18")
    report = ask(source)
    assert report.state == "fault"
    assert "reboot" in report.fault
    standin.says("init 999")
    assert ask(source).fault == "driver error: Unknown Error"
    standin.says("count 1")
    assert ask(source).state == "ok"


def test_a_reader_that_dies_is_a_fault_and_is_replaced(standin: StandIn, source: GpuSource) -> None:
    standin.says("crash 1")
    assert ask(source).fault == "the reader of the driver died (signal 6)"
    standin.says()
    assert ask(source).state == "ok"


def test_an_older_driver_knows_the_older_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: GpuSource
) -> None:
    old = StandIn(tmp_path, "-DOLD_DRIVER")
    activate(old, monkeypatch)
    old.says("0.reasons 8", "0.memory 4096")
    gpu = source.read().gpus[0]
    assert (gpu.throttle_reasons, gpu.memory_used_bytes) == (("hw-slowdown",), 4096)


@contextmanager
def paced(source: GpuSource) -> Iterator[Paced[GpuAnswer]]:
    reader = Paced("gpu", source)
    reader.start()
    yield reader
    reader.stop()
    source.close()


def wait_for(ready: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1500):
        if ready():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come")


@pytest.mark.parametrize("call", ["0.utilization.hang", "init.hang"])
def test_a_driver_that_hangs_is_a_reading_and_its_child_is_waited_for(
    standin: StandIn, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: kills.append(number))
    standin.says(f"{call} 1")
    source = GpuSource(deadline_s=0.3, start_deadline_s=0.3)
    source.interval_s = 0.05
    roster = Roster()
    with paced(source) as reader:
        wait_for(lambda: bool(reader.latest().hung_since_unix_s))
        report = roster.report(reader.latest())
        assert report.state == "fault"
        assert report.fault.startswith("driver does not answer since ")
        child = source._child
        assert child is not None
        assert child.poll() is None
        standin.says()
        wait_for(lambda: roster.report(reader.latest()).state == "ok")
        assert source._child is child, "the child that hung is the one that answers"
        assert kills == []
        monkeypatch.undo()
    assert child.wait(5) == -9


def test_a_gpu_keeps_its_name_but_no_value_while_the_driver_hangs(
    standin: StandIn, source: GpuSource
) -> None:
    roster = Roster()
    roster.report(Reading(value=source.read()))
    report = roster.report(Reading(hung_since_unix_s=1_700_000_000.0))
    assert report.fault == "driver does not answer since 22:13:20 UTC"
    assert report.gpus == (GpuReading(0, UUID.format(0), "Stand-in GPU"),)


def test_no_library_and_no_gpu_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: GpuSource
) -> None:
    missing, pci = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, tmp_path / "pci"
    assert without_driver(missing, "", pci)["state"] == "none"
    network = pci / "0000:01:00.0"
    network.mkdir(parents=True)
    (network / "vendor").write_text("0x10de\n")
    (network / "class").write_text("0x020000\n")
    assert not has_nvidia_gpu(pci)
    (network / "class").write_text("0x030200\n")
    assert has_nvidia_gpu(pci)
    answer = without_driver(missing, "", pci)
    assert answer["state"] == "fault"
    assert answer["fault"] == "an NVIDIA GPU is here, the driver's library is not installed"


def test_the_child_that_found_nothing_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: GpuSource
) -> None:
    standin = StandIn(tmp_path)
    activate(standin, monkeypatch)
    standin.says(f"init {pynvml.NVML_ERROR_DRIVER_NOT_LOADED}")
    if has_nvidia_gpu(Path("/sys/bus/pci/devices")):
        pytest.skip("this machine has an NVIDIA GPU")
    assert source.read().state == "none"
    assert source._child is None
    standin.says()
    assert source.read().state == "none", "it rests for a while before it looks again"


@pytest.mark.parametrize(
    "line", [b"", b"garbage", b"[]", b'{"state": "ok"}', b'{"state": "?", "gpus": []}', b"\xff"]
)
def test_a_line_that_is_no_answer_is_a_fault(line: bytes) -> None:
    answer = parse_answer(line)
    assert (answer.state, answer.last) == ("fault", True)


def test_every_reason_has_its_name() -> None:
    assert reasons(None) is None
    assert reasons(0) == []
    assert reasons(0x1 | 0x2 | 0x10 | 0x20 | 0x80 | 0x100) == [
        "idle",
        "application-clocks",
        "sync-boost",
        "sw-thermal",
        "hw-power-brake",
        "display-clocks",
    ]
    assert reasons(0x4000) == ["0x4000"]
