"""Digests the catalogue's files again: disks go bad, and people edit what they keep in place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aiconsole.bundle.digest import file_sha256
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.store import Progress
from aiconsole.models.version import Condition, Model, Version


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found out about one version of one model."""

    name: str
    version: Version
    """In the condition that was found."""
    path: Path
    detail: str = ""
    """What is wrong with it, and where a damaged file was set aside."""


async def verify_models(
    catalogue: Catalogue, models: Sequence[Model], progress: Progress
) -> AsyncGenerator[Verified, None]:
    """Yield each version as it was found; the catalogue notes it.

    A file that several models have is read once. A damaged file of the store is set aside, so
    that nothing deploys it.
    """
    known: dict[Path, tuple[Condition, str, int]] = {}
    for model in models:
        for version in model.versions:
            path = catalogue.store.path(version)
            if path not in known:
                known[path] = await _look(catalogue, version, path, progress)
            condition, detail, changed_ns = known[path]
            found = replace(
                version, condition=condition, changed_ns=changed_ns or version.changed_ns
            )
            catalogue.note(found)
            yield Verified(model.name, found, path, detail)


async def _look(
    catalogue: Catalogue, version: Version, path: Path, progress: Progress
) -> tuple[Condition, str, int]:
    try:
        changed_ns = (await asyncio.to_thread(path.stat)).st_mtime_ns
        sha256 = await file_sha256(
            path, lambda done, total: progress("Digest", done, total), anew=True
        )
    except FileNotFoundError:
        return "missing", "the file is gone", 0
    except OSError as error:
        return "bad", f"it cannot be read: {error.strerror or error}", 0
    if sha256 == version.sha256:
        return "good", "", changed_ns
    aside = catalogue.store.set_aside(version)
    where = f"; set aside as {aside}" if aside else "; the file is yours, and stays"
    return "bad", f"its sha256 is {sha256}{where}", 0
