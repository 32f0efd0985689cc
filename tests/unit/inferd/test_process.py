"""What the engine's process is given, and what is kept from it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from aiconsole.onhost.inferd import cpu
from aiconsole.onhost.inferd.engine import process
from aiconsole.onhost.inferd.engine.llama import LlamaEngine
from aiconsole.onhost.inferd.engine.worker import WorkerSpec, binary_argv
from aiconsole.onhost.inferd.settings import EngineSettings, ModelSettings
from aiconsole.onhost.inferd.start_error import StartError

SPEC = WorkerSpec("/m.gguf", "m", "/r/w.sock", "s3cret", "/r/key", "/llama", 8, 1, 1, 256, 64, 6, 1)


def test_a_layer_brings_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, other = tmp_path / "layer", tmp_path / "other"
    (layer / "lib").mkdir(parents=True)
    (layer / "lib" / "libgomp.so.1").touch()
    (other / "lib").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", ["", str(layer), str(other), "relative"])
    assert process._environment()["LD_LIBRARY_PATH"] == str(layer / "lib")
    assert process._search_path() == f'["{layer}", "{other}"]'


def test_the_environment_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "LISTEN_FDS", "CREDENTIALS_DIRECTORY", "AWS_SECRET"):
        monkeypatch.setenv(name, "x")
    given = process._environment()
    assert given["PATH"] == os.environ["PATH"]
    assert "x" not in given.values()


def test_the_key_is_not_on_a_command_line() -> None:
    argv = binary_argv(SPEC)
    assert "s3cret" not in " ".join(argv)
    assert argv[argv.index("--api-key-file") + 1] == "/r/key"


async def test_a_cpu_without_the_instructions_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "missing_flags", lambda: ("avx2", "fma"))
    model = ModelSettings(name="m", path=str(tmp_path / "none.gguf"))
    engine = LlamaEngine(model, EngineSettings(), tmp_path)
    with pytest.raises(StartError, match="This CPU cannot run") as refused:
        await engine.start()
    assert refused.value.permanent
    assert "avx2, fma" in refused.value.detail
    assert "host" in refused.value.hint
    assert engine.status().state == "failed"
