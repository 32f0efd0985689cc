"""What a GGUF file says of its model, and the memory that serving it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiconsole.bundle.gguf import TYPE_NAMES, Header
from aiconsole.bundle.model import kv_bytes_per_token, look_at_model
from aiconsole.onhost.wire import pool_tokens, request_tokens, weights_memory_bytes

_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
    39: "NVFP4", 40: "Q1_0",
}  # fmt: skip
"""llama.cpp's names of `general.file_type`."""

_TABLE_CONTEXTS = (2048, 8192, 32_768, 131_072)


@dataclass(frozen=True, slots=True)
class TensorType:
    """How much of a model is quantised in one way."""

    name: str
    tensors: int
    parameters: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Description:
    """A GGUF file's header in the words of an operator; its texts come from strangers."""

    path: Path
    size_bytes: int
    architecture: str
    title: str
    parameters: int
    layers: int
    embedding: int
    """Numbers in the state of one token."""
    heads: int
    kv_heads: int
    experts: int
    """0 where the model is no mixture of them."""
    context_tokens: int
    """0 where the file does not say."""
    vocabulary: int
    """Tokens; 0 where the file does not say."""
    tokenizer: str
    quantisation: str
    types: tuple[TensorType, ...]
    """The largest first."""
    about: tuple[tuple[str, str], ...]
    """Author, licence and the like: name and text."""
    chat_template: str
    """Empty where the model has none, and is not made for conversations."""
    weights_memory_bytes: int
    kv_bytes_per_token: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What one slot of the service takes with one choice of context and requests at once."""

    context_tokens: int
    """Of one request."""
    slots: int
    pool_tokens: int
    """Of all requests together; fewer than context times slots where memory is short."""
    context_bytes: int
    """Of the pool."""
    total_bytes: int
    """With the weights."""


async def describe(path: Path) -> Description:
    """Read a file's header.

    Raises:
        ModelError: It is missing, or not a whole GGUF file that inferd serves.
    """
    path, header, size_bytes = await look_at_model(path)
    values = header.values
    return Description(
        path=path,
        size_bytes=size_bytes,
        architecture=_text(header, "general.architecture"),
        title=_text(header, "general.name"),
        parameters=header.parameters,
        layers=header.number("block_count"),
        embedding=header.number("embedding_length"),
        heads=header.number("attention.head_count"),
        kv_heads=header.number("attention.head_count_kv", header.number("attention.head_count")),
        experts=header.number("expert_count"),
        context_tokens=header.number("context_length"),
        vocabulary=header.lengths.get("tokenizer.ggml.tokens", header.number("vocab_size")),
        tokenizer=" ".join(
            str(values[key])
            for key in ("tokenizer.ggml.model", "tokenizer.ggml.pre")
            if values.get(key)
        ),
        quantisation=quantisation_of(header),
        types=_types(header),
        about=_about(header),
        chat_template=_text(header, "tokenizer.chat_template"),
        weights_memory_bytes=weights_memory_bytes(size_bytes, header.q4_0_bytes),
        kv_bytes_per_token=kv_bytes_per_token(header),
    )


def quantisation_of(header: Header) -> str:
    """The name of the file's type, else of the type that most of its bytes have."""
    file_type = header.values.get("general.file_type")
    if isinstance(file_type, int) and file_type in _FILE_TYPES:
        return _FILE_TYPES[file_type]
    types = _types(header)
    return types[0].name if types else ""


def memory_of(
    model: Description, context_tokens: int, slots: int, memory_total_bytes: int
) -> Memory:
    """Count as a deploy counts."""
    asked = request_tokens(context_tokens, model.context_tokens)
    pool = pool_tokens(asked, slots, model.kv_bytes_per_token, memory_total_bytes)
    context_bytes = pool * model.kv_bytes_per_token
    return Memory(asked, slots, pool, context_bytes, model.weights_memory_bytes + context_bytes)


def table_contexts(model: Description, asked_tokens: int = 0) -> tuple[int, ...]:
    """The contexts that are worth a row: the usual ones, the model's own, the one asked for."""
    wanted = {request_tokens(tokens, model.context_tokens) for tokens in _TABLE_CONTEXTS}
    wanted.add(request_tokens(0, model.context_tokens))
    if model.context_tokens:
        wanted.add(model.context_tokens)
    if asked_tokens:
        wanted.add(request_tokens(asked_tokens, model.context_tokens))
    return tuple(sorted(wanted))


def _types(header: Header) -> tuple[TensorType, ...]:
    types = [
        TensorType(TYPE_NAMES.get(kind, f"type {kind}"), t.tensors, t.parameters, t.size_bytes)
        for kind, t in header.types.items()
    ]
    return tuple(sorted(types, key=lambda one: (one.size_bytes, one.parameters), reverse=True))


def _about(header: Header) -> tuple[tuple[str, str], ...]:
    keys: Sequence[tuple[str, str]] = (
        ("description", "general.description"),
        ("author", "general.author"),
        ("organisation", "general.organization"),
        ("licence", "general.license"),
        ("licence name", "general.license.name"),
        ("licence text", "general.license.link"),
        ("quantised by", "general.quantized_by"),
        ("home", "general.url"),
        ("repository", "general.repo_url"),
        ("size", "general.size_label"),
        ("version", "general.version"),
    )
    return tuple((name, text) for name, key in keys if (text := _text(header, key)))


def _text(header: Header, key: str) -> str:
    value = header.values.get(key, "")
    return value if isinstance(value, str) else ""
