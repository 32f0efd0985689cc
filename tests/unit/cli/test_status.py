"""What `status` says of a service beyond its state."""

from __future__ import annotations

from typing import Any

import pytest

from aiconsole.cli.status import remarks
from aiconsole.onhost.wire import HostLayout, HostStatus, ServiceState

FINE = {"engine_restarts": 0, "engine_fault": "", "reason": "", "reload": {}}


def status(told: Any, engine: str = "") -> HostStatus:
    release: dict[str, Any] = {"id": "r1"}
    if engine:
        text = f'[engine]\nkind = "{engine}"\n'
        release["settings"] = {"text": text, "credentials": [], "files": []}
    state = ServiceState("r1", "a", "127.0.0.1:1", wanted="running")
    return HostStatus(HostLayout.system(), state, (), (release,), (), {"a": told})


@pytest.mark.parametrize("told", [FINE, {}, "odd", None, {"reload": "odd", "cache": 5}])
def test_a_service_that_is_fine_is_not_spoken_of(told: Any) -> None:
    assert remarks(status(told)) == []


def test_what_an_operator_has_to_know_is_said() -> None:
    told = {
        "engine_restarts": 2,
        "engine_fault": "no token for 60 s",
        "reload": {"fault": "x.toml:5: limits.queue", "needs_swap": ["engine.slots", "model"]},
        "cache": {"down": True, "fault": "refused"},
    }
    assert remarks(status(told, "remote")) == [
        "engine remote",
        "its engine was started again, times: 2; last: no token for 60 s",
        "its settings were not read again: x.toml:5: limits.queue",
        "needs a restart to take: engine.slots, model",
        "its cache is down: refused",
    ]
