"""The way back to an earlier release, with what that one needs of its host."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import tomllib

from aiconsole.control.inspection import Inspection
from aiconsole.control.options import RestartOptions
from aiconsole.control.release import ModelChoice, Release, ServiceChoice
from aiconsole.control.service import restart, rollback
from aiconsole.control.service_settings import ServiceSettings
from aiconsole.onhost.wire import (
    CredentialStep,
    HostLayout,
    HostStatus,
    ServiceState,
    SmokePrompt,
    SwapStep,
    UnitStep,
)

LAYOUT = HostLayout.system()
TEXT = """\
[cache]
redis_password = "cache"
[tls]
certificate_file = "/c"
key_file = "/k"
[[smoke]]
prompt = "x"
"""


def release(settings: ServiceSettings) -> Release:
    model, service = ModelChoice("m", "b" * 64, 1, 2), ServiceChoice(drain_timeout_s=7.0)
    return Release(LAYOUT, ("a" * 64,), model, service, "", settings)


def seen(now: Release, before: Release) -> Inspection:
    """A host that serves one of two releases."""
    documents = tuple(json.loads(one.release_json()) for one in (now, before))
    state = ServiceState(
        now.id, "a", "127.0.0.1:1", previous_release_id=before.id, wanted="running"
    )
    facts: Any = SimpleNamespace(usable_memory_bytes=1 << 40, has_systemd_creds=True)
    line: Any = SimpleNamespace(host=SimpleNamespace(name="web1"), layout=LAYOUT)
    return Inspection(facts, line, HostStatus(LAYOUT, state, (), documents, ()))


OLD = release(ServiceSettings(TEXT, ("cache",), ("/c", "/k"), tomllib.loads(TEXT)))
NEW = release(ServiceSettings("[limits]\nqueue = 3\n"))


def test_a_rollback_brings_the_unit_and_the_secrets_of_its_release() -> None:
    act = rollback(seen(NEW, OLD), RestartOptions())
    assert act.tls
    order = [step.id for step in act.steps]
    assert order == ["files", "credentials", "credential-cache", "slot-unit", "swap", "health"]
    secret = cast(CredentialStep, act.steps[2])
    assert (secret.brought, Path(secret.path).name) == (False, "cache.cred")
    unit = cast(UnitStep, act.steps[3])
    assert "LoadCredentialEncrypted=cache:" in unit.content
    assert "TimeoutStopSec=22" in unit.content
    assert cast(SwapStep, act.steps[4]).smoke == (SmokePrompt("x"),)


def test_a_restart_and_a_way_back_to_the_same_settings_only_swap() -> None:
    assert [step.id for step in restart(seen(NEW, OLD), RestartOptions()).steps] == [
        "swap", "health",
    ]  # fmt: skip
    again = Release(LAYOUT, ("c" * 64,), OLD.model, OLD.service, "", OLD.settings)
    back = rollback(seen(OLD, again), RestartOptions())
    assert [step.id for step in back.steps] == ["swap", "health"]
