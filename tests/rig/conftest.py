"""The two operators of the tests about one host: each module says which, by its `host`."""

from __future__ import annotations

import pytest

from tests.rig.console import Console
from tests.rig.host import RigHost


@pytest.fixture(scope="module")
def ann(host: RigHost, tmp_path_factory: pytest.TempPathFactory) -> Console:
    return _operator("ann", host, tmp_path_factory)


@pytest.fixture(scope="module")
def bob(host: RigHost, tmp_path_factory: pytest.TempPathFactory) -> Console:
    return _operator("bob", host, tmp_path_factory)


def _operator(name: str, host: RigHost, homes: pytest.TempPathFactory) -> Console:
    console = Console(homes.mktemp(name), name)
    console.add(host)
    return console
