"""Models, and one daemon for the tests that only ask."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.contract.inferd.redis_server import RedisServer, redis_at
from tests.contract.inferd.running import Running, daemon, settings_text
from tests.fixtures import tiny_gguf


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of thousands of tokens a second."""
    return tiny_gguf.write(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers can take many seconds."""
    return tiny_gguf.write(tmp_path_factory.mktemp("models") / "slow.gguf", tiny_gguf.SLOW)


@pytest.fixture(scope="session")
def tools_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose template knows tools."""
    return tiny_gguf.write(tmp_path_factory.mktemp("models") / "tools.gguf", tiny_gguf.TOOLS)


@pytest.fixture(scope="module")
def with_tools(tools_model: Path) -> Iterator[Running]:
    """A daemon with that model."""
    with (
        tempfile.TemporaryDirectory(prefix="inferd-test-") as name,
        daemon(Path(name), settings_text(tools_model)) as running,
    ):
        yield running.until_ready()


@pytest.fixture
def room() -> Iterator[Path]:
    """A directory with a short path: sockets live in it."""
    with tempfile.TemporaryDirectory(prefix="inferd-test-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def shared(tiny_model: Path) -> Iterator[Running]:
    """One daemon for all tests that do not change it."""
    with tempfile.TemporaryDirectory(prefix="inferd-test-") as name:
        text = settings_text(tiny_model, limits="body_bytes = 65536")
        with daemon(Path(name), text) as running:
            yield running.until_ready()


@pytest.fixture
def client(shared: Running) -> Iterator[httpx.Client]:
    """A plain HTTP client of the shared daemon."""
    with httpx.Client(base_url=shared.url, timeout=60) as client:
        yield client


@pytest.fixture
def redis_server(room: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, empty."""
    with redis_at(room) as server:
        yield server
