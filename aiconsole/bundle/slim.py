"""Take out of an installed tree what differs from build to build, or what no host uses."""

from __future__ import annotations

import shutil
from pathlib import Path

_KEPT_OF_DIST_INFO = ("METADATA", "entry_points.txt", "licenses")
"""The version, for importlib.metadata, and the licence texts, which travel with the code."""


def slim(tree: Path) -> None:
    """Remove scripts with paths of this machine, caches, locks and installer records.

    Raises:
        OSError: Something cannot be removed.
    """
    shutil.rmtree(tree / "bin", ignore_errors=True)
    (tree / ".lock").unlink(missing_ok=True)
    for cache in list(tree.rglob("__pycache__")):
        shutil.rmtree(cache)
    for info in tree.glob("*.dist-info"):
        for entry in info.iterdir():
            if entry.name in _KEPT_OF_DIST_INFO or _is_licence(entry.name):
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _is_licence(name: str) -> bool:
    return name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS"))
