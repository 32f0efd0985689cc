"""A home of its own for each test, and a catalogue in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiconsole.models.catalogue import Catalogue


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CACHE", "STATE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()
