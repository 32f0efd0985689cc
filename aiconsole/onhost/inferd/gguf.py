"""The header of a GGUF file: what the model is, and whether the file is whole."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_Q4_0 = 2

_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Tensor type -> elements and bytes of one block; types that are not here are not measured."""

_MAX_ITEMS = 10_000_000
_MAX_STRING_BYTES = 64 * 1024 * 1024


class GgufError(ValueError):
    """The file is not a GGUF, is cut short, or contradicts itself."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header says."""

    version: int
    values: dict[str, Any]
    """Metadata by key; of long arrays only the length, as `range`."""
    tensors: int
    parameters: int
    """Numbers in all tensors together."""
    needed_bytes: int
    """Size that the file must have at least."""
    size_bytes: int
    """Size that it has."""
    q4_0_bytes: int = 0
    """Of the tensors that llama.cpp keeps a second, repacked copy of."""

    @property
    def architecture(self) -> str:
        """Name of the architecture, such as llama."""
        return str(self.values.get("general.architecture", ""))

    @property
    def context_tokens(self) -> int:
        """Context that the model was trained for; 0 where the header does not say."""
        return self._number("context_length")

    @property
    def chat_template(self) -> str:
        """Jinja template of a conversation, or empty."""
        return str(self.values.get("tokenizer.chat_template", ""))

    @property
    def kv_bytes_per_token(self) -> int:
        """Memory that one token of context takes in 16 bit, about."""
        layers, heads = self._number("block_count"), self._number("attention.head_count")
        width = self._number("embedding_length")
        heads_kv = self._number("attention.head_count_kv") or heads
        default = width // heads if heads else 0
        key = self._number("attention.key_length") or default
        value = self._number("attention.value_length") or default
        return layers * heads_kv * (key + value) * 2

    @property
    def context_is_cheaper(self) -> bool:
        """Whether a token of context takes less than that: not all layers look at all of it."""
        marks = ("attention.sliding_window", "ssm.state_size", "full_attention_interval")
        return any(self._number(mark) for mark in marks)

    def _number(self, key: str) -> int:
        value = self.values.get(f"{self.architecture}.{key}", 0)
        if isinstance(value, list):
            value = max(value, default=0)
        return int(value) if isinstance(value, (int, float)) else 0


def read_header(path: Path) -> GgufHeader:
    """Read a file's header.

    Raises:
        GgufError: Not a GGUF, a version that is not known, or shorter than its own header says.
        OSError: The file cannot be read.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(4)
        if magic != b"GGUF":
            raise GgufError(f"not a GGUF file: it begins with {magic!r}, not with b'GGUF'")
        reader = _Reader(file, size_bytes)
        version = reader.number("I")
        if version not in (2, 3):
            raise GgufError(f"GGUF version {version & 0xFFFF}; versions 2 and 3 can be read")
        return _read(reader, version, size_bytes)


def _read(reader: _Reader, version: int, size_bytes: int) -> GgufHeader:
    tensors, pairs = reader.count("tensors"), reader.count("metadata pairs")
    values = {reader.text(): reader.value(reader.number("I")) for _ in range(pairs)}
    end = parameters = repacked = 0
    for _ in range(tensors):
        name = reader.text()
        elements = 1
        for _ in range(reader.number("I")):
            elements *= reader.number("Q")
        kind, offset = reader.number("I"), reader.number("Q")
        block, block_bytes = _BLOCKS.get(kind, (1, 0))
        parameters += elements
        tensor_bytes = elements // block * block_bytes
        end = max(end, offset + tensor_bytes)
        repacked += tensor_bytes if kind == _Q4_0 else 0
        if elements >= 1 << 62:
            raise GgufError(f"tensor {name!r} has an impossible shape")
    align = int(values.get("general.alignment", 32)) or 32
    data = (reader.position + align - 1) // align * align
    needed = data + end
    if needed > size_bytes:
        raise GgufError(f"truncated: {size_bytes:,} bytes of at least {needed:,}")
    return GgufHeader(version, values, tensors, parameters, needed, size_bytes, repacked)


class _Reader:
    """Reads little-endian values, and never past the end of the file."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes

    @property
    def position(self) -> int:
        return self._file.tell()

    def take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise GgufError(
                f"truncated: the header goes on after the end at {self._size_bytes:,} bytes"
            )
        return data

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def count(self, what: str) -> int:
        found = int(self.number("Q"))
        if found > _MAX_ITEMS:
            raise GgufError(f"damaged: it claims {found:,} {what}")
        return found

    def text(self) -> str:
        length = int(self.number("Q"))
        if length > _MAX_STRING_BYTES:
            raise GgufError(f"damaged: it claims a text of {length:,} bytes")
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array()
        raise GgufError(f"damaged: metadata of unknown type {kind}")

    def _array(self) -> Any:
        kind, length = int(self.number("I")), self.count("array items")
        if kind in _SCALARS and length <= 1024:
            return [self.number(_SCALARS[kind]) for _ in range(length)]
        if kind in _SCALARS:
            self.take(length * struct.calcsize(_SCALARS[kind]))
        elif kind == _STRING:
            for _ in range(length):
                self.text()
        else:
            raise GgufError(f"damaged: array of type {kind}")
        return range(length)
