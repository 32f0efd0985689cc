"""The header reader, on whole files and on every way in which a file can be cut or damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.gguf import GgufError, read_header
from tests.fixtures import tiny_gguf


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tmp_path_factory.mktemp("model") / "tiny.gguf")


def test_a_whole_file(model: Path) -> None:
    header = read_header(model)
    assert (header.version, header.architecture) == (3, "llama")
    assert header.context_tokens == 2048
    assert "add_generation_prompt" in header.chat_template
    assert header.tensors == 3 + 9 * 2
    assert header.parameters == 369_280
    assert header.needed_bytes <= header.size_bytes == model.stat().st_size
    # 2 layers, 2 heads of 32, keys and values, 16 bit
    assert header.kv_bytes_per_token == 2 * 2 * 64 * 2
    assert len(header.values["tokenizer.ggml.tokens"]) == 288


def test_cut_at_every_place(model: Path, tmp_path: Path) -> None:
    data = model.read_bytes()
    needed = read_header(model).needed_bytes
    cut = tmp_path / "cut.gguf"
    for length in [*range(4, 20000, 97), needed - 1]:
        cut.write_bytes(data[:length])
        with pytest.raises(GgufError, match="truncated"):
            read_header(cut)
    cut.write_bytes(data[:needed])
    assert read_header(cut).needed_bytes == needed


def _file(path: Path, pairs: bytes, count: int = 1, tensors: int = 0) -> Path:
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, tensors, count) + pairs)
    return path


def _text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("pairs", "count", "tensors"),
    [
        (b"", 2**60, 0),
        (b"", 0, 2**60),
        (struct.pack("<Q", 2**40), 1, 0),
        (_text(b"a") + struct.pack("<I", 77), 1, 0),
        (_text(b"a") + struct.pack("<IIQ", 9, 77, 3), 1, 0),
        (_text(b"a") + struct.pack("<IIQ", 9, 8, 2**50), 1, 0),
        (_text(b"t") + struct.pack("<IQIQ", 1, 2**63, 0, 0), 0, 1),
    ],
    ids=["pairs", "tensors", "text", "type", "array type", "array", "shape"],
)
def test_damaged(tmp_path: Path, pairs: bytes, count: int, tensors: int) -> None:
    path = _file(tmp_path / "damaged.gguf", pairs, count, tensors)
    with pytest.raises(GgufError, match=r"damaged|truncated|impossible"):
        read_header(path)


def test_nested_arrays_are_refused_before_they_exhaust_the_stack(tmp_path: Path) -> None:
    deep = _text(b"a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5000
    with pytest.raises(GgufError):
        read_header(_file(tmp_path / "deep.gguf", deep))


def test_not_one(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"\x7fELF" + b"\x00" * 100)
    with pytest.raises(GgufError, match="not a GGUF"):
        read_header(other)
    other.write_bytes(b"GGUF" + struct.pack(">I", 3) + b"\x00" * 100)
    with pytest.raises(GgufError, match="version"):
        read_header(other)
