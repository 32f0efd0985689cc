"""What the catalogue could do without, and what removing it would free."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from aiconsole.models.catalogue import Catalogue
from aiconsole.models.store import freed_bytes
from aiconsole.models.version import Model, Version

Why: TypeAlias = Literal["old version", "damaged", "half a download", "in no model"]

STALE_S = 7 * 86400
"""Age after which nobody is expected to go on with half a download."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that prune removes."""

    why: Why
    path: Path
    frees_bytes: int
    """0 where other names of the file stay, or where the operator keeps it."""
    name: str = ""
    """The model, for an old version."""
    version: Version | None = None


def leftovers(catalogue: Catalogue, names: Sequence[str], keep: int) -> tuple[Leftover, ...]:
    """What is neither current nor one of the newest `keep` versions; files without a model too.

    Args:
        catalogue: Where to look.
        names: Look at these models alone, and at nothing else; empty looks at everything.
        keep: Versions of each model that stay, the current one among them where it is as new.
    """
    models = [catalogue.model(name) for name in names] if names else list(catalogue.models())
    found = [left for model in models for left in _old(catalogue, model, keep)]
    if not names:
        found += _files_without_model(catalogue)
    return tuple(found)


def remove_leftovers(catalogue: Catalogue, found: Sequence[Leftover]) -> list[Path]:
    """Remove what `leftovers` found and is still not needed; returns the deleted files."""
    deleted: list[Path] = []
    for name in {left.name for left in found if left.name}:
        digests = {left.version.sha256 for left in found if left.name == name and left.version}
        # Somebody may have made one of them current while the operator thought.
        digests -= {catalogue.model(name).current_version.sha256}
        deleted += catalogue.drop(name, digests)[0]
    strays = [left.path for left in found if left.why == "in no model"]
    deleted += catalogue.delete_unneeded(strays)
    for left in found:
        if left.why in ("damaged", "half a download") and catalogue.store.is_ours(left.path):
            left.path.unlink(missing_ok=True)
            left.path.with_suffix(".json").unlink(missing_ok=True)
            deleted.append(left.path)
    return deleted


def _old(catalogue: Catalogue, model: Model, keep: int) -> Iterator[Leftover]:
    newest = sorted(model.versions, key=lambda v: v.added_unix_s, reverse=True)
    kept = {v.sha256 for v in newest[:keep]} | {model.current_version.sha256}
    others = {
        v.sha256
        for m in catalogue.models()
        if m.name != model.name
        for v in m.versions
        if not v.in_place
    }
    for version in newest:
        if version.sha256 not in kept:
            path = catalogue.store.path(version)
            stays = version.in_place or version.sha256 in others
            frees = 0 if stays else freed_bytes(path)
            yield Leftover("old version", path, frees, model.name, version)


def _files_without_model(catalogue: Catalogue) -> Iterator[Leftover]:
    store = catalogue.store
    for file in catalogue.unneeded_files():
        yield Leftover("in no model", file, freed_bytes(file))
    for file in sorted(store.damaged.glob("*")):
        yield Leftover("damaged", file, freed_bytes(file))
    for file in sorted((*store.incoming.glob("*.part"), *store.incoming.glob("*.ready"))):
        if _is_stale(file):
            yield Leftover("half a download", file, freed_bytes(file))


def _is_stale(file: Path) -> bool:
    try:
        if time.time() - file.stat().st_mtime < STALE_S:
            return False
        handle = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
