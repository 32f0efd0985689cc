"""A byte-level BPE tokenizer as GPT-2 has it, trained and applied in plain Python."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

IM_START, IM_END, PAD = "<|im_start|>", "<|im_end|>", "<|pad|>"
SPECIALS = (IM_START, IM_END, PAD)
_WORD = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+",
)
"""GPT-2's split, for the ASCII that the corpus is made of."""


def byte_names() -> list[str]:
    """The printable character that stands for each byte in GPT-2's vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names = {b: chr(b) for b in plain}
    others = (b for b in range(256) if b not in names)
    names |= {b: chr(256 + i) for i, b in enumerate(others)}
    return [names[b] for b in range(256)]


_NAMES = byte_names()


class Tokenizer:
    """The vocabulary: 256 bytes, the merges in order, then the special tokens."""

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.merges = merges
        self.tokens = [*_NAMES, *("".join(pair) for pair in merges), *SPECIALS]
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        ranks = {pair: i for i, pair in enumerate(merges)}
        self._split = lru_cache(maxsize=None)(lambda word: _split(word, ranks))

    def encode(self, text: str) -> list[int]:
        """Ids of a text that holds no special token."""
        return [self.ids[part] for word in _WORD.findall(text) for part in self._split(word)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; special tokens are shown as they are written."""
        byte_of = {name: value for value, name in enumerate(_NAMES)}
        out = bytearray()
        for token in (self.tokens[i] for i in ids):
            out += token.encode() if token in SPECIALS else bytes(byte_of[c] for c in token)
        return out.decode("utf-8", "replace")


def train(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Learn as many merges as fit into a vocabulary of that size."""
    counts = Counter(word for text in texts for word in _WORD.findall(text))
    words = [([_NAMES[b] for b in word.encode()], n) for word, n in sorted(counts.items())]
    merges: list[tuple[str, str]] = []
    while len(merges) < vocabulary - 256 - len(SPECIALS):
        pairs: Counter[tuple[str, str]] = Counter()
        for parts, n in words:
            for pair in pairwise(parts):
                pairs[pair] += n
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        words = [(_merge(parts, best), n) for parts, n in words]
    return Tokenizer(merges)


def _split(word: str, ranks: dict[tuple[str, str], int]) -> tuple[str, ...]:
    parts = [_NAMES[b] for b in word.encode()]
    while len(parts) > 1:
        pairs = pairwise(parts)
        best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        parts = _merge(parts, best)
    return tuple(parts)


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    at = 0
    while at < len(parts):
        if tuple(parts[at : at + 2]) == pair:
            out.append(parts[at] + parts[at + 1])
            at += 2
        else:
            out.append(parts[at])
            at += 1
    return out
