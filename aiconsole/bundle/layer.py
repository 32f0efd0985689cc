"""Build a layer: the packages or the code that a host needs, packed and named by content."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from aiconsole.bundle import cache
from aiconsole.bundle.archive import pack
from aiconsole.bundle.cache import Layer
from aiconsole.bundle.install import LOCKS, Say, install
from aiconsole.bundle.platform import Platform
from aiconsole.bundle.slim import slim
from aiconsole.bundle.source import copy_source, source_digest
from aiconsole.errors import BundleError

__all__ = ["Layer", "LayerName", "Platform", "build_layer"]

LayerName: TypeAlias = Literal["code", "gateway", "engine", "probe"]

_BUILDER = 1
"""Raised with every change that makes other bytes of the same packages."""

_GOMP_PYTHON = "3.11"
"""The library in the wheel is the same for every Python; one of them is enough."""


async def build_layer(name: LayerName, platform: Platform, say: Say | None = None) -> Layer:
    """Return the layer for such a host, from the cache or newly built.

    Args:
        name: Which layer.
        platform: The host's kind.
        say: Called with lines of progress while it is built.

    Raises:
        BundleError: The layer cannot be built; the error says why.
    """
    key = _key(name, platform)
    if found := await asyncio.to_thread(cache.find, key):
        return found
    try:
        return await _build(name, platform, key, say or _silent)
    except (OSError, ValueError) as error:
        raise BundleError(
            f"The layer {name} could not be built",
            str(error),
            f"Is there room and a right to write in {cache.directory()}?",
        ) from error


async def _build(name: LayerName, platform: Platform, key: str, say: Say) -> Layer:
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache.directory()) as place:
        tree, archive = Path(place) / "tree", Path(place) / "archive"
        tree.mkdir()
        say(f"Build the layer {name} for {platform}")
        if name == "code":
            await asyncio.to_thread(copy_source, tree)
        else:
            await install(LOCKS / f"{name}.txt", platform, tree, say)
        if name == "engine":
            await _add_gomp(Path(place), tree, platform, say)
        say(f"Pack the layer {name}")
        await asyncio.to_thread(slim, tree)
        packed = await asyncio.to_thread(pack, tree, archive)
        archive.rename(cache.archive_path(packed.sha256))
    layer = Layer(
        name,
        packed.sha256,
        cache.archive_path(packed.sha256),
        packed.size_bytes,
        packed.unpacked_bytes,
    )
    await asyncio.to_thread(cache.remember, key, layer)
    await asyncio.to_thread(cache.prune, {layer.sha256})
    return layer


async def _add_gomp(place: Path, tree: Path, platform: Platform, say: Say) -> None:
    """Put GCC's OpenMP runtime at `lib/libgomp.so.1`, for hosts that have none."""
    lock, wheel = LOCKS / "gomp.txt", place / "gomp"
    wheel.mkdir()
    await install(lock, replace(platform, python=_GOMP_PYTHON), wheel, say)
    libraries = list(wheel.glob("*.libs/libgomp-*.so*"))
    if len(libraries) != 1:
        raise BundleError(
            "The engine's libgomp is not where it was",
            f"{lock}: {len(libraries)} files of that name in the package instead of one",
        )
    (tree / "lib").mkdir(exist_ok=True)
    shutil.copyfile(libraries[0], tree / "lib" / "libgomp.so.1")
    origin = next(line for line in lock.read_text().splitlines() if "==" in line).split()[0]
    (tree / "lib" / "README").write_text(
        "libgomp.so.1 is GCC's OpenMP runtime library (GPL-3.0 with the GCC Runtime Library\n"
        f"Exception), unchanged as the wheel of {origin} carries it. It is used only where the\n"
        "system has none.\n"
    )


def _key(name: LayerName, platform: Platform) -> str:
    """What decides about the bytes of a layer, as one digest."""
    if name == "code":
        parts = [source_digest()]
    else:
        locks = [name, "gomp"] if name == "engine" else [name]
        parts = [platform.wheel_platform, platform.python]
        parts += [(LOCKS / f"{lock}.txt").read_text() for lock in locks]
    return hashlib.sha256(json.dumps([_BUILDER, name, *parts]).encode()).hexdigest()


def _silent(line: str) -> None:
    return None
