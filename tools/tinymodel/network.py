"""A llama of under a million parameters in PyTorch, shaped so that llama.cpp runs it as it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network. Rows are multiples of 32, as Q8_0 needs them."""

    vocabulary: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    inner: int = 384
    context: int = 2048
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads


class Attention(nn.Module):
    """Grouped-query attention with rotary positions on neighbouring pairs, as llama.cpp has it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        kv_width = shape.kv_heads * shape.head_width
        self.q = nn.Linear(shape.width, shape.width, bias=False)
        self.k = nn.Linear(shape.width, kv_width, bias=False)
        self.v = nn.Linear(shape.width, kv_width, bias=False)
        self.o = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Let every position look at those before it."""
        batch, length, width = x.shape
        split = (batch, length, -1, self.shape.head_width)
        q = rotate(self.q(x).view(split), cos, sin).transpose(1, 2)
        k = rotate(self.k(x).view(split), cos, sin).transpose(1, 2)
        v = self.v(x).view(split).transpose(1, 2)
        groups = self.shape.heads // self.shape.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.o(seen.transpose(1, 2).reshape(batch, length, width))
        return out


class Layer(nn.Module):
    """Attention and a SwiGLU network, each behind a norm and beside a shortcut."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.attention = Attention(shape)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.gate = nn.Linear(shape.width, shape.inner, bias=False)
        self.up = nn.Linear(shape.width, shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """One step of the residual stream."""
        x = x + self.attention(self.attention_norm(x), cos, sin)
        y = self.ffn_norm(x)
        out: Tensor = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return out


class Llama(nn.Module):
    """The whole network; the output matrix is the embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                deep = name.endswith(("o.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * shape.layers) ** 0.5 if deep else 0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the next token at every position."""
        cos, sin = angles(self.shape, ids.shape[1])
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return functional.linear(self.norm(x), self.embedding.weight)


def angles(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine for each position and pair."""
    powers = torch.arange(0, shape.head_width, 2) / shape.head_width
    turns = torch.outer(torch.arange(length).float(), shape.rope_base**-powers)
    return turns.cos()[None, :, None, :], turns.sin()[None, :, None, :]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of neighbours (2i, 2i+1) by its angle."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)
