"""A model file on the console's machine: looked at before anything is sent."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiconsole.bundle.digest import file_sha256
from aiconsole.bundle.gguf import Header, NotGgufError, TruncatedError, read_header
from aiconsole.errors import ModelError
from aiconsole.onhost.wire import weights_memory_bytes

_KV_BYTES = 2
"""Of one number in the cache of keys and values (f16)."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file that has been read and digested."""

    path: Path
    name: str
    """What clients ask for: the file's name without its suffix, unless it was chosen."""
    size_bytes: int
    sha256: str
    architecture: str
    """`llama`, `qwen3` and so on."""
    title: str
    """The name that the file gives itself; may be empty."""
    parameters: int
    """Numbers in all tensors together."""
    context_tokens: int
    """The longest context that the model was trained for; 0 where the file does not say."""
    weights_memory_bytes: int
    """Memory of an engine that has loaded it, without the context."""
    kv_bytes_per_token: int
    """Memory of one token of context, over all layers."""

    def memory_bytes(self, context_tokens: int) -> int:
        """Estimate the memory of one engine with that much context in all its slots together."""
        return self.weights_memory_bytes + self.kv_bytes_per_token * context_tokens


async def look_at_model(path: Path) -> tuple[Path, Header, int]:
    """Read the header of a GGUF file; returns its absolute path, the header, and its size.

    Raises:
        ModelError: Missing, not a readable file, not a GGUF, or truncated.
    """
    return await asyncio.to_thread(_look, path)


async def refuse_unservable(path: Path) -> None:
    """Read the header of a GGUF file, which takes no time, and nothing more.

    Raises:
        ModelError: Missing, not a readable file, not a GGUF, or truncated.
    """
    await asyncio.to_thread(_look, path)


async def inspect_model(
    path: Path,
    *,
    name: str = "",
    expected_sha256: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> ModelFile:
    """Read header and digest of a GGUF file, without blocking the loop.

    Args:
        path: The file.
        name: What clients are to ask for; empty takes the file's name.
        expected_sha256: Refuse a file of another digest.
        progress: Called in the event loop with bytes done and in all while it is digested.

    Raises:
        ModelError: Missing, not a readable file, not a GGUF, truncated, or of another digest.
    """
    path, header, size_bytes = await asyncio.to_thread(_look, path)
    try:
        sha256 = await file_sha256(path, progress)
    except OSError as error:
        raise _unreadable(path, error) from error
    if expected_sha256 and sha256 != expected_sha256:
        raise ModelError(
            f"{path.name} is not the file that it should be",
            f"{path} has the sha256 {sha256}, expected {expected_sha256}",
            "Get the file anew",
        )
    return ModelFile(
        path=path,
        name=name or path.stem,
        size_bytes=size_bytes,
        sha256=sha256,
        architecture=str(header.values["general.architecture"]),
        title=str(header.values.get("general.name", "")),
        parameters=header.parameters,
        context_tokens=header.number("context_length"),
        weights_memory_bytes=weights_memory_bytes(size_bytes, header.q4_0_bytes),
        kv_bytes_per_token=kv_bytes_per_token(header),
    )


def _look(given: Path) -> tuple[Path, Header, int]:
    try:
        path = given.expanduser().absolute()
    except RuntimeError as error:
        raise ModelError(
            "There is no such model file", f"{given}: no such home directory", "Check the path"
        ) from error
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ModelError(
                f"{path.name} is a directory", str(path), "Name one GGUF file within it"
            )
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path.name} is not an ordinary file", str(path))
        header = read_header(path)
    except FileNotFoundError as error:
        raise ModelError(
            "There is no such model file", str(path), "Check the path; it is on this machine"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except NotGgufError as error:
        raise ModelError(
            f"{path.name} is not a GGUF model",
            f"{path}: {error}",
            "inferd serves GGUF files: look for a GGUF version of the model",
        ) from error
    except TruncatedError as error:
        raise ModelError(
            f"{path.name} is not complete", f"{path}: {error}", "Download it again"
        ) from error
    _refuse_parts(path, header)
    return path, header, status.st_size


def _refuse_parts(path: Path, header: Header) -> None:
    if not header.values.get("general.architecture") or not header.tensor_count:
        raise ModelError(
            f"{path.name} holds no model",
            f"{path}: no architecture or no tensors (a vocabulary alone?)",
        )
    kind = header.values.get("general.type") or "model"
    if kind != "model" or header.values["general.architecture"] == "clip":
        raise ModelError(
            f"{path.name} is no model by itself",
            f"{path}: it is {'an image encoder' if kind == 'model' else f'of the type {kind}'}",
            "Take the file with the language model itself",
        )
    parts = header.values.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        raise ModelError(
            f"{path.name} is one of {parts} parts of a model",
            str(path),
            "Join the parts with llama-gguf-split --merge, and deploy the whole",
        )


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(f"{path.name} cannot be read", f"{path}: {error.strerror or error}")


def kv_bytes_per_token(header: Header) -> int:
    """Memory of one token of context, over all layers."""
    heads = header.number("attention.head_count")
    kv_heads = header.number("attention.head_count_kv", heads)
    width = header.number("embedding_length") // heads if heads else 0
    key = header.number("attention.key_length", width)
    value = header.number("attention.value_length", width)
    return header.number("block_count") * kv_heads * (key + value) * _KV_BYTES
