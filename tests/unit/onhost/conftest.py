"""A real keeper on a short temporary tree: the path of a socket has at most 107 bytes."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiconsole.onhost.keeper import KeeperClient, KeeperFault, ensure_keeper
from aiconsole.onhost.wire import HostLayout
from tests.fixtures.standin_inferd import StandIn, install

TOOL = str(Path(__file__).parents[2] / "fixtures" / "tool.py")


@pytest.fixture
def layout() -> Iterator[HostLayout]:
    home = tempfile.mkdtemp(prefix="aic-")
    yield HostLayout("keeper", f"{home}/opt", f"{home}/var", f"{home}/run", f"{home}/etc")
    shutil.rmtree(home)


@pytest.fixture
def address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def keeper(layout: HostLayout) -> Iterator[KeeperClient]:
    client = ensure_keeper(layout, TOOL)
    yield client
    try:
        client.quit(drain_timeout_s=5)
    except KeeperFault as fault:
        assert fault.code == "no-keeper"  # noqa: PT017 - the test has ended it by itself


@pytest.fixture
def release(layout: HostLayout) -> Callable[..., str]:
    """Install a stand-in release and link it into a slot."""

    def make(slot: str = "a", release_id: str = "r1", **behaviour: object) -> str:
        directory = install(layout, release_id, StandIn(**behaviour))  # type: ignore[arg-type]
        link = Path(layout.slot(slot))
        link.unlink(missing_ok=True)
        link.symlink_to(directory)
        return release_id

    return make
