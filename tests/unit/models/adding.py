"""Adds files to a catalogue, one version after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiconsole.models.add import Added, Choices, add_model
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.source import FileSource
from tests.gguf_files import write_gguf


def silent(text: str, done_bytes: int, total_bytes: int) -> None:
    """Progress that nobody looks at."""


async def add_file(catalogue: Catalogue, path: Path, **choices: Any) -> Added:
    return await add_model(catalogue, FileSource(path), Choices(**choices), silent)


async def add_versions(catalogue: Catalogue, folder: Path, name: str, count: int) -> list[str]:
    """Versions of one name, the oldest first; returns their digests."""
    digests = []
    for number in range(count):
        path = write_gguf(folder / f"{name}-{number}.gguf", f"{name}{number}".encode())
        digests.append((await add_file(catalogue, path, name=name)).version.sha256)
    return digests
