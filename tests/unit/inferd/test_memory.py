"""A load that the memory cannot hold is refused before it begins, with the numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiconsole.bundle.model import inspect_model
from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.engine import memory
from aiconsole.onhost.inferd.engine.llama import LlamaEngine
from aiconsole.onhost.inferd.engine.memory import available_bytes, check_memory, needed_bytes
from aiconsole.onhost.inferd.engine.sizing import Sizing
from aiconsole.onhost.inferd.gguf import GgufHeader, read_header
from aiconsole.onhost.inferd.settings import EngineSettings, ModelSettings
from aiconsole.onhost.inferd.start_error import StartError
from tests.fixtures import tiny_gguf

MB = 1_000_000


def _header(size_bytes: int, q4_0_bytes: int = 0) -> GgufHeader:
    values = {
        "general.architecture": "llama",
        "llama.block_count": 10,
        "llama.embedding_length": 1000,
        "llama.attention.head_count": 10,
        "llama.attention.head_count_kv": 1,
    }
    return GgufHeader(3, values, 1, 1, 1, size_bytes, q4_0_bytes)


def _sizing(pool_tokens: int) -> Sizing:
    return Sizing(pool_tokens, pool_tokens, 1, 1, 0)


def _meminfo(room: Path, available_bytes: int) -> Path:
    path = room / "meminfo"
    path.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available_bytes // 1024} kB\n")
    return path


@pytest.mark.parametrize("context", [0, 2048, 100_000])
async def test_the_estimate_is_that_of_the_console(tmp_path: Path, context: int) -> None:
    path = tiny_gguf.write(tmp_path / "m.gguf")
    known_there = await inspect_model(path)
    assert needed_bytes(read_header(path), _sizing(context)) == known_there.memory_bytes(context)


def test_the_estimate_is_near_what_was_measured() -> None:
    # 620 MB of Q4_0 took 1.36 GB when it was measured.
    header = _header(620 * MB, 610 * MB)
    assert 1300 * MB < needed_bytes(header, _sizing(0)) < 1500 * MB
    # ten layers, one head of 100 for keys and values each, two bytes a number
    grown = needed_bytes(header, _sizing(1000)) - needed_bytes(header, _sizing(0))
    assert grown == 1000 * 10 * 200 * 2


def test_the_tightest_limit_counts(tmp_path: Path) -> None:
    meminfo, group = _meminfo(tmp_path, 4096 * MB), tmp_path / "cg"
    group.mkdir()
    assert abs(available_bytes(meminfo, group) - 4096 * MB) < 1024
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("0\n")
    (group / "memory.stat").write_text("inactive_file 0\n")
    assert abs(available_bytes(meminfo, group) - 4096 * MB) < 1024
    (group / "memory.max").write_text(f"{1000 * MB}\n")
    (group / "memory.current").write_text(f"{700 * MB}\n")
    (group / "memory.stat").write_text(
        f"anon {100 * MB}\ninactive_file {400 * MB}\nactive_file {200 * MB}\n"
    )
    assert available_bytes(meminfo, group) == 900 * MB  # the cache of files gives way
    assert available_bytes(tmp_path / "none", group) == 900 * MB
    assert available_bytes(tmp_path / "none", tmp_path / "none") == 0


def test_the_first_version_of_cgroups(tmp_path: Path) -> None:
    group = tmp_path / "cg" / "memory"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (group / "memory.usage_in_bytes").write_text(f"{600 * MB}\n")
    (group / "memory.stat").write_text(f"total_inactive_file {500 * MB}\n")
    meminfo = _meminfo(tmp_path, 4096 * MB)
    assert abs(available_bytes(meminfo, tmp_path / "cg") - 4096 * MB) < 1024
    (group / "memory.limit_in_bytes").write_text(f"{1000 * MB}\n")
    assert available_bytes(meminfo, tmp_path / "cg") == 900 * MB


def test_only_what_clearly_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    header, sizing = _header(1000 * MB), _sizing(100_000)  # 1,145 MB and 400 MB of context
    monkeypatch.setattr(memory, "available_bytes", lambda: 1400 * MB)
    check_memory(header, sizing)
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)  # not known
    check_memory(header, sizing)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1300 * MB)
    with pytest.raises(StartError) as refused:
        check_memory(header, sizing)
    told = refused.value.detail
    assert "1,545 MB (400 MB" in told
    assert "1,300 MB are available" in told
    assert "memory_check = false" in refused.value.hint
    assert not refused.value.permanent  # memory may be free later


def test_a_context_that_takes_less_than_estimated_does_not_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header, sizing = _header(1000 * MB), _sizing(1_000_000)
    header.values["llama.attention.sliding_window"] = 4096
    monkeypatch.setattr(memory, "available_bytes", lambda: 1100 * MB)
    check_memory(header, sizing)
    monkeypatch.setattr(memory, "available_bytes", lambda: 900 * MB)
    with pytest.raises(StartError):
        check_memory(header, sizing)


async def test_the_engine_looks_before_it_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "missing_flags", lambda: ())
    monkeypatch.setattr(memory, "available_bytes", lambda: 10 * MB)
    path = tiny_gguf.write(tmp_path / "m.gguf")
    model = ModelSettings(name="m", path=str(path))
    engine = LlamaEngine(model, EngineSettings(), tmp_path)
    with pytest.raises(StartError, match="does not fit"):
        await engine.start()
    assert engine.status().pid == 0
    unchecked = LlamaEngine(model, EngineSettings(memory_check=False), tmp_path)
    unchecked._prepare()
