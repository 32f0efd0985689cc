"""Which model a deploy takes, and whether a newer console may bring a newer one in its place."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiconsole.bundle.builtin import BUILTIN
from aiconsole.control.choose_model import choose_model
from aiconsole.control.options import DeployOptions
from aiconsole.control.release import ModelChoice, ServiceChoice
from aiconsole.control.service_settings import ServiceSettings
from aiconsole.models.find import find_model
from tests.gguf_files import write_gguf


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CACHE", "STATE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def chosen(given: str | None) -> ModelChoice:
    model, name = find_model(Path(given) if given else None)
    seen: Any = SimpleNamespace(
        line=SimpleNamespace(host=SimpleNamespace(name="web1")),
        facts=SimpleNamespace(memory_total_bytes=1 << 34),
    )
    options = DeployOptions(model=model, model_name=name)
    none = ServiceSettings()
    found = await choose_model(options, none, seen, ServiceChoice(), None, lambda *_: None)
    return found[0]


async def test_the_built_in_by_its_name_is_the_one_that_nobody_named() -> None:
    assert await chosen("builtin") == await chosen(None)
    assert (await chosen("builtin")).builtin
    assert (await chosen("builtin")).sha256 == BUILTIN.sha256


async def test_a_file_is_never_the_built_in(home: Path) -> None:
    path = write_gguf(home / "same.gguf")
    choice = await chosen(str(path))
    assert (choice.name, choice.builtin) == ("same", False)
