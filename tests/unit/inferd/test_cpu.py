"""Threads and instructions, from files such as hosts have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiconsole.onhost.inferd import cpu


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    assert cpu.usable_threads(tmp_path) == 8
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpu.usable_threads(tmp_path) == 8


@pytest.mark.parametrize(("quota", "threads"), [("150000", 2), ("50000", 1), ("1600000", 8)])
def test_quota_of_cgroup_v2(tmp_path: Path, quota: str, threads: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota} 100000\n")
    assert cpu.usable_threads(tmp_path) == threads


def test_quota_of_cgroup_v1(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu.usable_threads(tmp_path) == 3
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cpu.usable_threads(tmp_path) == 8


def test_missing_instructions_are_named(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu sse2 avx f16c fma bmi2\n")
    assert cpu.missing_flags(info, "x86_64") == ("avx2",)
    info.write_text("flags\t\t: avx2 f16c fma bmi2 avx512f\n")
    assert cpu.missing_flags(info, "x86_64") == ()
    assert cpu.missing_flags(info, "aarch64") == ()
    assert cpu.missing_flags(tmp_path / "none", "x86_64") == ()


def test_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:        4028808 kB\nMemFree: 1 kB\n")
    assert cpu.memory_bytes(tmp_path / "meminfo") == 4028808 * 1024
    assert cpu.memory_bytes(tmp_path / "none") == 0
    assert cpu.resident_bytes(os.getpid()) > 1_000_000
    assert cpu.resident_bytes(2**22 + 1) == 0
