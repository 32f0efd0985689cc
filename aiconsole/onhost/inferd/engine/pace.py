"""How fast the engine makes tokens, and whether an answer is over before anybody could leave."""

from __future__ import annotations

from collections.abc import Iterable

from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk

_BRIEF_S = 0.25
_MEANINGFUL_TOKENS = 4
_MEANINGFUL_PROMPT = 16
_WEIGHT = 0.2


class Pace:
    """Running means of the time for one token; 0 until one is known."""

    def __init__(self) -> None:
        self.token_s = 0.0
        """Of an answer."""
        self.prompt_token_s = 0.0
        """Of a prompt; too much rather than too little, until a longer one was computed."""

    def learn(self, batch: Iterable[Chunk]) -> None:
        """Take in what the engine says about an answer."""
        for chunk in batch:
            timings = (chunk.fields or {}).get("timings")
            if not isinstance(timings, dict):
                continue
            # Of a prompt that was known already, one token is computed, at the price of many.
            if timings.get("prompt_n", 0) >= (_MEANINGFUL_PROMPT if self.prompt_token_s else 1):
                self.prompt_token_s = _mean(self.prompt_token_s, timings["prompt_per_token_ms"])
            if timings.get("predicted_n", 0) >= _MEANINGFUL_TOKENS:
                self.token_s = _mean(self.token_s, timings["predicted_per_token_ms"])

    def is_brief(self, ask: Ask) -> bool:
        """Whether an answer may be asked for at a stroke.

        Such an answer cannot be called off, so its longest form must be over before that would
        matter; and the engine counts tokens rightly only where one answer to one prompt is wanted.
        """
        single = ask.choices == 1 and not isinstance(ask.body.get("prompt"), list)
        longest_s = ask.body.get("max_tokens", 0) * self.token_s
        longest_s += ask.size_bytes * self.prompt_token_s if longest_s else 0.0
        return single and not ask.stream and 0 < longest_s <= _BRIEF_S


def _mean(known_s: float, new_ms: float | None) -> float:
    new_s = float(new_ms or 0.0) / 1000
    return known_s + (new_s - known_s) * (_WEIGHT if known_s else 1.0)
