"""What a header tells, against the reference reader, and the memory that comes of it."""

from __future__ import annotations

from pathlib import Path

import gguf as reference
import numpy as np
import pytest

from aiconsole.bundle.builtin import BUILTIN
from aiconsole.bundle.gguf import TYPE_NAMES, read_header
from aiconsole.models.describe import _FILE_TYPES, describe, memory_of, table_contexts


async def test_the_built_in_model() -> None:
    model = await describe(BUILTIN.path)
    known = reference.GGUFReader(BUILTIN.path)
    assert (model.architecture, model.quantisation) == ("llama", "Q8_0")
    assert (model.layers, model.heads, model.kv_heads) == (4, 4, 2)
    assert (model.context_tokens, model.vocabulary) == (2048, 1024)
    assert model.tokenizer == "gpt2 gpt-2"
    assert dict(model.about)["licence"] == "Apache-2.0"
    assert model.chat_template == known.fields["tokenizer.chat_template"].contents()
    by_type: dict[str, list[int]] = {}
    for tensor in known.tensors:
        found = by_type.setdefault(tensor.tensor_type.name, [0, 0, 0])
        found[0] += 1
        found[1] += int(tensor.n_elements)
        found[2] += int(tensor.n_bytes)
    assert {t.name: [t.tensors, t.parameters, t.size_bytes] for t in model.types} == by_type


def test_types_are_called_as_the_reference_calls_them() -> None:
    known = {kind.value: kind.name for kind in reference.GGMLQuantizationType}
    assert {kind: known.get(kind) for kind in TYPE_NAMES} == TYPE_NAMES
    files = {
        kind.value: kind.name.replace("MOSTLY_", "").replace("ALL_", "")
        for kind in reference.LlamaFileType
    }
    assert {kind: files.get(kind) for kind in _FILE_TYPES} == _FILE_TYPES


async def test_a_file_that_says_little(tmp_path: Path) -> None:
    writer = reference.GGUFWriter(tmp_path / "x.gguf", "odd")
    writer.add_string("tokenizer.chat_template", "\x1b[2J{{ messages }}")
    writer.add_tensor("token_embd.weight", np.ones((64, 256), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = await describe(tmp_path / "x.gguf")
    assert (model.quantisation, model.context_tokens, model.vocabulary) == ("F16", 0, 0)
    assert model.kv_bytes_per_token == 0
    assert table_contexts(model) == (2048,)


async def test_memory_is_counted_as_a_deploy_counts_it() -> None:
    model = await describe(BUILTIN.path)
    plenty = memory_of(model, 1024, 4, 1 << 36)
    assert (plenty.context_tokens, plenty.pool_tokens) == (1024, 4096)
    assert plenty.total_bytes == model.weights_memory_bytes + 4096 * model.kv_bytes_per_token
    little = memory_of(model, 2048, 4, 4 * 3000 * model.kv_bytes_per_token)
    assert little.pool_tokens == 3000
    most = memory_of(model, 1_000_000, 1, 1 << 36)
    assert most.context_tokens == 2048, "no more than the model was trained for"


async def test_contexts_worth_a_row() -> None:
    model = await describe(BUILTIN.path)
    assert table_contexts(model) == (2048,)
    assert table_contexts(model, 512) == (512, 2048)


@pytest.mark.parametrize("key", ["tokenizer.ggml.tokens", "tokenizer.ggml.merges"])
def test_long_arrays_are_counted(key: str) -> None:
    known = reference.GGUFReader(BUILTIN.path)
    assert read_header(BUILTIN.path).lengths[key] == len(known.fields[key].data)
