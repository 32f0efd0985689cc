"""The built-in model: tiny, trained by tools/tinymodel, for trying the console out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiconsole.bundle.model import ModelFile, inspect_model


@dataclass(frozen=True, slots=True)
class BuiltinModel:
    """What is known of the built-in model without reading it."""

    name: str
    """What clients ask for."""
    path: Path
    size_bytes: int
    sha256: str
    """Recorded beside the file, so that a damaged installation shows before anything is sent."""


BUILTIN = BuiltinModel(
    name="builtin",
    path=Path(__file__).parent / "models" / "builtin.gguf",
    size_bytes=1009888,
    sha256="84560361c335ad0c4840721acc926643aaaac44d745adcbeef09338d575fb05e",
)


async def inspect_builtin() -> ModelFile:
    """Read the built-in model as any other file.

    Raises:
        ModelError: The installation is damaged.
    """
    return await inspect_model(BUILTIN.path, name=BUILTIN.name, expected_sha256=BUILTIN.sha256)
