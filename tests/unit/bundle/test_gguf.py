"""The header's reader against the real built-in model and against files made wrong."""

import random
import struct
from pathlib import Path

import gguf as reference
import pytest

from aiconsole.bundle.builtin import BUILTIN
from aiconsole.bundle.gguf import NotGgufError, TruncatedError, read_header


def test_it_reads_what_the_reference_reader_reads() -> None:
    header = read_header(BUILTIN.path)
    known = reference.GGUFReader(BUILTIN.path)
    assert header.tensor_count == len(known.tensors)
    assert header.parameters == sum(int(tensor.n_elements) for tensor in known.tensors)
    assert header.needed_bytes <= BUILTIN.size_bytes
    assert header.needed_bytes == max(int(t.data_offset + t.n_bytes) for t in known.tensors)
    for key in ("llama.context_length", "llama.block_count", "general.name"):
        assert header.values[key] == known.fields[key].contents()


@pytest.mark.parametrize("dtype", ["Q4_0", "F16"])
def test_sizes_of_other_types_match_the_reference(tmp_path: Path, dtype: str) -> None:
    import numpy as np

    kind = reference.GGMLQuantizationType[dtype]
    writer = reference.GGUFWriter(tmp_path / "x.gguf", "llama")
    weight = np.ones((64, 256), dtype=np.float16 if dtype == "F16" else np.float32)
    if dtype == "Q4_0":
        weight = reference.quants.quantize(weight, kind)
    writer.add_tensor("token_embd.weight", weight, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = read_header(tmp_path / "x.gguf")
    tensor = reference.GGUFReader(tmp_path / "x.gguf").tensors[0]
    assert header.needed_bytes == int(tensor.data_offset + tensor.n_bytes)
    assert header.q4_0_bytes == (int(tensor.n_bytes) if dtype == "Q4_0" else 0)


def test_every_cut_is_seen(tmp_path: Path) -> None:
    whole = BUILTIN.path.read_bytes()
    needed_bytes = read_header(BUILTIN.path).needed_bytes
    chance = random.Random(7)
    cuts = [4, 8, 23, 24, needed_bytes - 1, *(chance.randrange(4, needed_bytes) for _ in range(40))]
    for cut in cuts:
        (tmp_path / "cut.gguf").write_bytes(whole[:cut])
        with pytest.raises(TruncatedError):
            read_header(tmp_path / "cut.gguf")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GG",
        b"FUGG" + bytes(100),
        b"<!DOCTYPE html><html>" + bytes(100),
        b"GGUF" + struct.pack("<I", 99) + bytes(100),
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 50),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 77),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 9, 1),
    ],
)
def test_what_is_no_gguf_is_named_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(NotGgufError):
        read_header(tmp_path / "x.gguf")


def test_flipped_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    whole = bytearray(BUILTIN.path.read_bytes()[:60_000])
    chance = random.Random(11)
    for _ in range(300):
        bad = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            bad[chance.randrange(600)] = chance.randrange(256)
        (tmp_path / "bad.gguf").write_bytes(bad)
        with pytest.raises((NotGgufError, TruncatedError)):
            read_header(tmp_path / "bad.gguf")
