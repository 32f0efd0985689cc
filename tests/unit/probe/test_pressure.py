from __future__ import annotations

from pathlib import Path

import pytest

from aiconsole.onhost.probe.pressure import parse_pressure, read_pressure
from aiconsole.onhost.wire import Pressure

IO = """some avg10=3.41 avg60=1.20 avg300=0.40 total=24840330
full avg10=2.75 avg60=0.90 avg300=0.31 total=19830011
"""


def test_both_lines_are_read() -> None:
    assert parse_pressure(IO) == Pressure(some_percent=3.41, full_percent=2.75)


def test_the_cpu_of_older_kernels_has_no_full_line() -> None:
    assert parse_pressure(IO.splitlines()[0]) == Pressure(some_percent=3.41, full_percent=None)


@pytest.mark.parametrize(
    "text", ["", "garbage", "some", "some avg10=", "some avg10=NaN", "some avg10=-1", "x avg60=3"]
)
def test_what_is_no_pressure_is_unknown(text: str) -> None:
    assert parse_pressure(text) is None


def test_a_kernel_without_pressure_is_unknown(tmp_path: Path) -> None:
    assert read_pressure("cpu", tmp_path) is None
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "io").write_text(IO)
    assert read_pressure("io", tmp_path) == Pressure(3.41, 2.75)
