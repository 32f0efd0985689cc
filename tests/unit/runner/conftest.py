"""An installation in a temporary directory, plans for it, and processes that die on purpose."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.runner.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A bare host: a layout without anything in it."""
    os.umask(0o022)
    return Place(tmp_path)


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is one: hundreds of fsyncs take long on a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)
