"""Read the header of a GGUF file on the console's side: what it is, and whether it is whole."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?",
            10: "Q", 11: "q", 12: "d"}  # fmt: skip
_STRING, _ARRAY = 8, 9
TYPE_NAMES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
    23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16",
    34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0",
}  # fmt: skip
"""What llama.cpp calls the types of tensors."""
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36),
    41: (128, 18),
}  # fmt: skip
"""Numbers and bytes of one block, by the tensor's type; other types are not measured."""

_Q4_0 = 2

_MAX_ITEMS = 20_000_000
_MAX_STRING_BYTES = 64 * 1024 * 1024
_MAX_KEPT_ITEMS = 4096
"""Longer arrays (the vocabulary) are read over."""
_MAX_DIMENSIONS = 8
_MAX_ALIGNMENT = 1 << 20


@dataclass(frozen=True, slots=True)
class TypeTally:
    """The tensors of one type."""

    tensors: int
    parameters: int
    """Numbers in them together."""
    size_bytes: int
    """Of them together; 0 for a type that is not measured."""


class NotGgufError(ValueError):
    """The file is not a GGUF file of a known version."""


class TruncatedError(ValueError):
    """The file ends before its header says it does."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says of the model."""

    values: dict[str, Any]
    """Metadata by key, without long arrays."""
    tensor_count: int
    parameters: int
    """Numbers in all tensors together."""
    needed_bytes: int
    """Size that the file must have at least."""
    q4_0_bytes: int
    """Of the tensors that llama.cpp keeps a second, repacked copy of."""
    types: dict[int, TypeTally]
    """By the number of the tensors' type, see `TYPE_NAMES`."""
    lengths: dict[str, int]
    """Items of each array by key, of the long ones too that `values` leaves out."""

    def number(self, key: str, default: int = 0) -> int:
        """A whole number of the architecture, the largest where it differs by layer."""
        value = self.values.get(f"{self.values.get('general.architecture', '')}.{key}", default)
        if isinstance(value, list):
            value = max((item for item in value if isinstance(item, int)), default=default)
        return value if isinstance(value, int) else default


def read_header(path: Path) -> Header:
    """Read the header, some megabytes at most.

    Raises:
        NotGgufError: It is something else, or contradicts itself.
        TruncatedError: The file ends within the header or before the last tensor.
        OSError: It cannot be read.
    """
    size_bytes = path.stat().st_size
    with path.open("rb", buffering=1024 * 1024) as file:
        header = _Reader(file, size_bytes).header()
    if header.needed_bytes > size_bytes:
        raise TruncatedError(f"it has {size_bytes} of {header.needed_bytes} bytes")
    return header


class _Reader:
    """Reads the parts of a header, in their order."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._length = 0
        """Items of the array that was read last."""

    def header(self) -> Header:
        if (magic := self._file.read(4)) != _MAGIC:
            raise NotGgufError("it does not begin with GGUF" if magic else "it is empty")
        version = self._number("I")
        if version not in _VERSIONS:
            raise NotGgufError(f"version {version} is none of {', '.join(map(str, _VERSIONS))}")
        tensor_count, pair_count = self._count(), self._count()
        values, lengths = {}, {}
        for _ in range(pair_count):
            key = self._string()
            values[key] = self._value(kind := self._number("I"))
            if kind == _ARRAY:
                lengths[key] = self._length
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= _MAX_ALIGNMENT:
            raise NotGgufError(f"its alignment is {alignment}")
        tensors = [self._tensor() for _ in range(tensor_count)]
        start = -(-self._file.tell() // alignment) * alignment
        return Header(
            values=values,
            tensor_count=tensor_count,
            parameters=sum(tensor.parameters for tensor in tensors),
            needed_bytes=max((start + tensor.end_bytes for tensor in tensors), default=start),
            q4_0_bytes=sum(tensor.size_bytes for tensor in tensors if tensor.kind == _Q4_0),
            types=_tally(tensors),
            lengths=lengths,
        )

    def _tensor(self) -> _Tensor:
        self._string()
        dimensions = self._number("I")
        if dimensions > _MAX_DIMENSIONS:
            raise NotGgufError(f"a tensor of {dimensions} dimensions")
        parameters = math.prod(self._number("Q") for _ in range(dimensions))
        kind, offset = self._number("I"), self._number("Q")
        numbers, size = _BLOCKS.get(kind, (1, 0))
        return _Tensor(kind, parameters, offset, parameters // numbers * size)

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise NotGgufError(f"a value of the unknown type {kind}")
        return self._number(_SCALARS[kind])

    def _array(self) -> list[Any]:
        kind, count = self._number("I"), self._count()
        self._length = count
        if kind == _ARRAY:
            raise NotGgufError("an array of arrays")
        if count <= _MAX_KEPT_ITEMS and kind != _STRING:
            return [self._value(kind) for _ in range(count)]
        if kind == _STRING:
            for _ in range(count):
                self._skip(self._number("Q"))
        elif kind in _SCALARS:
            self._skip(count * struct.calcsize(f"<{_SCALARS[kind]}"))
        else:
            raise NotGgufError(f"an array of the unknown type {kind}")
        return []

    def _string(self) -> str:
        length = self._number("Q")
        if length > _MAX_STRING_BYTES:
            raise NotGgufError(f"a text of {length} bytes")
        return self._take(length).decode("utf-8", "replace")

    def _count(self) -> int:
        count = int(self._number("Q"))
        if count > _MAX_ITEMS:
            raise NotGgufError(f"a count of {count}")
        return count

    def _number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")))[0]

    def _skip(self, count: int) -> None:
        if self._file.tell() + count > self._size_bytes:
            raise TruncatedError(f"it ends within its header, at {self._size_bytes} bytes")
        self._file.seek(count, 1)

    def _take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise TruncatedError(f"it ends within its header, at {self._size_bytes} bytes")
        return data


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Place and size of one tensor."""

    kind: int
    parameters: int
    offset_bytes: int
    size_bytes: int

    @property
    def end_bytes(self) -> int:
        return self.offset_bytes + self.size_bytes


def _tally(tensors: list[_Tensor]) -> dict[int, TypeTally]:
    tally: dict[int, TypeTally] = {}
    for tensor in tensors:
        so_far = tally.get(tensor.kind, TypeTally(0, 0, 0))
        tally[tensor.kind] = TypeTally(
            so_far.tensors + 1,
            so_far.parameters + tensor.parameters,
            so_far.size_bytes + tensor.size_bytes,
        )
    return tally
