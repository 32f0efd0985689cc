"""The screen's clock stands still, and nothing of the developer's own settings shows through."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.tui.doubles import NOW_S


@pytest.fixture(autouse=True)
def _still_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = SimpleNamespace(monotonic=lambda: NOW_S, time=time.time)
    monkeypatch.setattr("aiconsole.tui.state.time", clock)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
