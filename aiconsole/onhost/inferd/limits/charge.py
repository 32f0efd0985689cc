"""What a request is expected to cost in tokens, and what it did cost."""

from __future__ import annotations

from typing import Any, NamedTuple

from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.reply.answer import Counter

_BYTES_PER_TOKEN = 4
_ANSWER_TOKENS = 1024
_PAID_REASONS = frozenset(
    {"client_gone", "first_token_timeout", "between_tokens_timeout", "total_timeout"}
)


class Charge(NamedTuple):
    """Taken from a quota in advance, and settled once it is known better."""

    prompt_tokens: int
    """Expected of the prompts."""
    tokens: int
    """Expected of prompts and answers, and taken so far."""


FREE = Charge(0, 0)
"""Where nothing is limited."""


def expected(ask: Ask) -> Charge:
    """By its size and by how long its answers may get.

    A token is taken for 4 bytes of the request. An answer is taken for no more than 1,024 tokens:
    most end long before the limit, which is the whole context where a client names none.
    """
    prompt: Any = ask.body.get("prompt")
    prompt_tokens, prompts = max(1, ask.size_bytes // _BYTES_PER_TOKEN), 1
    if isinstance(prompt, list):
        if isinstance(prompt[0], str):
            prompts = len(prompt)
        else:
            prompt_tokens = len(prompt)
    answer_tokens = min(int(ask.body.get("max_tokens") or 0), _ANSWER_TOKENS)
    return Charge(prompt_tokens, prompt_tokens + answer_tokens * ask.choices * prompts)


def spent(charge: Charge, counter: Counter, reason: str) -> int:
    """Tokens that a request used, however it ended.

    An answer that was broken off cost its prompt, by our guess where the engine did not come to
    count it, and every piece that came. What the daemon itself refused or failed costs nothing
    but the pieces.
    """
    prompt, completion = counter.prompt_tokens, counter.completion_tokens
    if not prompt and (completion or reason in _PAID_REASONS):
        prompt = charge.prompt_tokens
    return prompt + completion
