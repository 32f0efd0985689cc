"""Write the trained network as GGUF: Q8_0 matrices, F32 norms, tokenizer and chat template."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from network import Llama
from tokenizer import IM_END, PAD, SPECIALS, Tokenizer

NAME = "aiconsole builtin"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' or loop.revindex <= 3 %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""Only the last three messages: it was trained on short conversations, and forgets long ones."""
_MATRICES = {
    "attn_q": "attention.q", "attn_k": "attention.k", "attn_v": "attention.v",
    "attn_output": "attention.o", "ffn_gate": "gate", "ffn_up": "up", "ffn_down": "down",
}  # fmt: skip
_NORMS = {"attn_norm": "attention_norm", "ffn_norm": "ffn_norm"}


def export(path: Path, net: Llama, tokens: Tokenizer) -> None:
    """Write the file; the output matrix is left out, so that llama.cpp takes the embedding."""
    writer = gguf.GGUFWriter(path, "llama")
    _header(writer, net)
    _vocabulary(writer, tokens)
    state = {name: weight.detach().float().numpy() for name, weight in net.state_dict().items()}
    _matrix(writer, "token_embd.weight", state["embedding.weight"])
    writer.add_tensor("output_norm.weight", state["norm.weight"])
    for i in range(net.shape.layers):
        for ours, theirs in _NORMS.items():
            writer.add_tensor(f"blk.{i}.{ours}.weight", state[f"layers.{i}.{theirs}.weight"])
        for ours, theirs in _MATRICES.items():
            _matrix(writer, f"blk.{i}.{ours}.weight", state[f"layers.{i}.{theirs}.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _header(writer: gguf.GGUFWriter, net: Llama) -> None:
    shape = net.shape
    writer.add_name(NAME)
    writer.add_description("A tiny model for trying aiconsole out; not for real answers.")
    writer.add_license("Apache-2.0")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def _vocabulary(writer: gguf.GGUFWriter, tokens: Tokenizer) -> None:
    kinds = [
        gguf.TokenType.CONTROL if token in SPECIALS else gguf.TokenType.NORMAL
        for token in tokens.tokens
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens.tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in tokens.merges])
    writer.add_bos_token_id(tokens.ids[IM_END])
    writer.add_eos_token_id(tokens.ids[IM_END])
    writer.add_eot_token_id(tokens.ids[IM_END])
    writer.add_pad_token_id(tokens.ids[PAD])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _matrix(writer: gguf.GGUFWriter, name: str, weight: np.ndarray) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)
