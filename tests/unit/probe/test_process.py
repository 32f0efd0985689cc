"""The probe as the process that it is on a host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from aiconsole.onhost.wire import Frame, HostLayout, read_frame, to_json
from tests.fixtures.nvml import StandIn


@contextmanager
def probe(*options: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "aiconsole.onhost.probe", "--interval", "0.1", *options]
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def frames(process: subprocess.Popen[bytes]) -> Iterator[Frame]:
    assert process.stdout is not None
    for line in process.stdout:
        yield read_frame(line)


def children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return StandIn(tmp_path_factory.mktemp("nvml"))


def test_frames_come_in_order_and_hold_everything(standin: StandIn, tmp_path: Path) -> None:
    standin.says("count 2")
    layout = json.dumps(to_json(HostLayout.of_user(str(tmp_path))))
    with probe("--layout", layout, **standin.environment) as process:
        stream = frames(process)
        first = next(stream)
        assert (first.seq, next(stream).seq) == (0, 1)
        full = next(frame for frame in stream if frame.gpu_state != "unknown")
        assert (full.gpu_state, len(full.gpus), full.inferd.state) == ("ok", 2, "absent")
        assert full.errors == {}
        assert full.host.cpu_percent is not None
        assert full.host.disk_free_bytes is not None


def test_it_ends_with_its_stdin_and_leaves_no_child(standin: StandIn) -> None:
    standin.says()
    with probe(**standin.environment) as process:
        next(frame for frame in frames(process) if frame.gpu_state == "ok")
        left = children(process)
        assert len(left) == 1
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        assert process.wait(10) == 0
        assert psutil.wait_procs(left, 10)[1] == []


def test_it_ends_when_nobody_reads(standin: StandIn) -> None:
    standin.says()
    with probe(**standin.environment) as process:
        next(frame for frame in frames(process) if frame.gpu_state == "ok")
        left = children(process)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        assert process.wait(10) == 0
        assert psutil.wait_procs(left, 10)[1] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_killed_probe_takes_its_child_along(standin: StandIn, number: int) -> None:
    standin.says("0.power.hang 1")
    with probe(**standin.environment) as process:
        stream = frames(process)
        next(stream)
        while not (left := children(process)):
            next(stream)
        process.send_signal(number)
        process.wait(10)
        assert psutil.wait_procs(left, 10)[1] == []


def test_a_driver_that_hangs_stalls_no_frame_and_no_end(standin: StandIn) -> None:
    standin.says("0.power.hang 1")
    with probe(**standin.environment) as process:
        stream = frames(process)
        while not (left := children(process)):
            next(stream)
        seen = [next(stream) for _ in range(5)]
        assert [frame.gpu_state for frame in seen] == ["unknown"] * 5
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        assert process.wait(10) == 0
        assert psutil.wait_procs(left, 10)[1] == []


def test_so_many_frames_and_no_more() -> None:
    with probe("--count", "2") as process:
        assert [frame.seq for frame in frames(process)] == [0, 1]
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    "options", [("--interval", "0"), ("--interval", "nan"), ("--layout", "{}")]
)
def test_wrong_options_are_refused(options: tuple[str, str]) -> None:
    with probe(*options) as process:
        assert process.wait(10) == 2


def test_it_needs_nothing_but_its_layer() -> None:
    """psutil and pynvml are all that it imports beyond the standard library and the wire."""
    code = """
import sys
import aiconsole.onhost.probe.__main__, aiconsole.onhost.probe.nvml
own = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(sorted(name for name in own if not name.startswith(("_", "sitecustomize"))))
print(sorted(n for n in sys.modules if n.startswith("aiconsole.") and ".onhost" not in n))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['aiconsole', 'psutil', 'pynvml']", "[]"]
