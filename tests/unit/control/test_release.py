"""A release's name is its content."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import tomllib

from aiconsole.control.release import (
    ModelChoice,
    Release,
    ServiceChoice,
    model_of,
    served_choices,
)
from aiconsole.errors import CommandError
from aiconsole.onhost.wire import HostLayout, HostStatus, ServiceState

LAYOUT = HostLayout.system()
RELEASE = Release(
    layout=LAYOUT,
    layers=("a" * 64, "b" * 64),
    model=ModelChoice('My "odd" Model', "c" * 64, 1000, 5000),
    service=ServiceChoice(slots=2),
    launch="print()\n",
)


def test_the_same_content_is_the_same_release() -> None:
    assert replace(RELEASE).id == RELEASE.id
    assert RELEASE.id.startswith("my-odd-model-")


@pytest.mark.parametrize(
    "other",
    [
        replace(RELEASE, layers=("a" * 64, "d" * 64)),
        replace(RELEASE, launch="print(1)\n"),
        replace(RELEASE, service=ServiceChoice(slots=3)),
        replace(RELEASE, model=replace(RELEASE.model, sha256="e" * 64)),
    ],
)
def test_any_other_content_is_another_release(other: Release) -> None:
    assert other.id != RELEASE.id


def test_the_settings_are_toml_whatever_the_model_is_called() -> None:
    settings = tomllib.loads(RELEASE.settings_toml())
    assert settings["model"]["name"] == 'My "odd" Model'
    assert settings["model"]["path"] == LAYOUT.model("c" * 64)
    assert settings["auth"]["required"] is False


def test_what_is_served_is_read_back() -> None:
    document = json.loads(RELEASE.release_json())
    state = ServiceState(release_id=RELEASE.id, wanted="running")
    status = HostStatus(LAYOUT, state, (), (document,), ())
    assert served_choices(status) == (RELEASE.model, RELEASE.service)
    assert model_of(status, RELEASE.id) == RELEASE.model


def test_a_manifest_of_somebody_else_is_refused_with_its_name() -> None:
    state = ServiceState(release_id="r1", wanted="running")
    status = HostStatus(LAYOUT, state, (), ({"id": "r1", "model": 5},), ())
    with pytest.raises(CommandError, match="r1"):
        served_choices(status)
