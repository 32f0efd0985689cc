"""Train the built-in model and write it as GGUF: `python tools/tinymodel/train.py OUT.gguf`."""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path

import torch
from corpus import Corpus, Message
from export import export
from network import Llama, Shape
from tokenizer import IM_END, IM_START, PAD, Tokenizer
from tokenizer import train as train_tokenizer
from torch import Tensor
from torch.nn import functional

SEED = 20261120
VOCABULARY = 1024
BATCH_TOKENS = 2048
PEAK_RATE = 3e-3
LIGHT = 0.1
"""Weight of what the user says, against 1 for what the model is to say."""

Sample = tuple[list[int], list[float]]


def encode(messages: list[Message], tokens: Tokenizer) -> Sample:
    """Ids and loss weights of one conversation, in the form of the chat template."""
    ids: list[int] = []
    weights: list[float] = []
    for message in messages:
        weight = 1.0 if message.role == "assistant" else LIGHT
        head = [tokens.ids[IM_START], *tokens.encode(f"{message.role}\n")]
        body = [*tokens.encode(message.content), tokens.ids[IM_END]]
        tail = tokens.encode("\n")
        ids += [*head, *body, *tail]
        weights += [LIGHT] * len(head) + [weight] * len(body) + [LIGHT] * len(tail)
    return ids, weights


def samples(corpus: Corpus, tokens: Tokenizer, count: int) -> list[Sample]:
    """Conversations, and one plain story for each twenty of them."""
    found = [encode(messages, tokens) for messages in corpus.conversations(count)]
    for story in corpus.stories(count // 20):
        ids = [*tokens.encode(story), tokens.ids[IM_END]]
        found.append((ids, [1.0] * len(ids)))
    return found


def batches(found: list[Sample], pad: int, chance: random.Random) -> list[tuple[Tensor, Tensor]]:
    """Batches of samples of like length, padded on the right, in random order."""
    found = sorted(found, key=lambda sample: (len(sample[0]), chance.random()))
    out = []
    at = 0
    while at < len(found):
        group = found[at : at + max(1, BATCH_TOKENS // len(found[at][0]))]
        at += len(group)
        length = max(len(ids) for ids, _ in group)
        ids = torch.tensor([i + [pad] * (length - len(i)) for i, _ in group])
        weights = torch.tensor([w + [0.0] * (length - len(w)) for _, w in group])
        out.append((ids, weights))
    chance.shuffle(out)
    return out


def rate(progress: float) -> float:
    """Learning rate after a part of the training: a short rise, then a cosine."""
    if progress < 0.03:
        return PEAK_RATE * progress / 0.03
    return PEAK_RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def fit(net: Llama, todo: list[tuple[Tensor, Tensor]]) -> float:
    """Train on every batch once; returns the mean loss of the last fifty."""
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.05
    )
    began, recent = time.monotonic(), [0.0]
    for step, (ids, weights) in enumerate(todo):
        for group in optimizer.param_groups:
            group["lr"] = rate(step / len(todo))
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(ids[:, :-1])
        each = functional.cross_entropy(
            logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        weight = weights[:, 1:].flatten()
        loss = (each * weight).sum() / weight.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        recent = [*recent[-49:], loss.item()]
        if step % 200 == 0 or step == len(todo) - 1:
            mean = sum(recent) / len(recent)
            print(
                f"{step:5}/{len(todo)} loss {mean:.3f} {time.monotonic() - began:.0f} s", flush=True
            )
    return sum(recent) / len(recent)


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--conversations", type=int, default=70_000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(options.threads)
    sampled = Corpus(SEED).conversations(15_000)
    tokens = train_tokenizer((m.content for c in sampled for m in c), VOCABULARY)
    found = samples(Corpus(SEED + 1), tokens, options.conversations)
    todo = batches(found, tokens.ids[PAD], random.Random(SEED))
    net = Llama(Shape(vocabulary=len(tokens.tokens)))
    parameters = sum(weight.numel() for weight in net.parameters())
    print(f"{parameters} parameters, {sum(len(i) for i, _ in found)} tokens, {len(todo)} batches")
    fit(net, todo)
    export(options.out, net, tokens)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
