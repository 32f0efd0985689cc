"""aiconsole's own code for hosts: what the layer `code` is made of."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import aiconsole

_PACKAGE = Path(aiconsole.__file__).parent
_ROOMS = ("wire", "inferd", "probe")
"""The rooms of the host's wing that need layers; runner and keeper travel in the tool."""


def copy_source(tree: Path) -> None:
    """Copy the code into `tree`, so that it can be imported from there.

    Raises:
        OSError: A file cannot be read or written.
    """
    for path in _files():
        target = tree / path.relative_to(_PACKAGE.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def source_digest() -> str:
    """Digest over names and content of all files that `copy_source` copies."""
    digest = hashlib.sha256()
    for path in _files():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    yield _PACKAGE / "__init__.py"
    yield _PACKAGE / "onhost" / "__init__.py"
    for room in _ROOMS:
        for path in sorted((_PACKAGE / "onhost" / room).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
