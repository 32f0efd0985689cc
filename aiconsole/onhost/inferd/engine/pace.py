"""How fast the engine makes tokens, and whether an answer is over before anybody could leave."""

from __future__ import annotations

from collections.abc import Iterable

from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk

_BRIEF_S = 0.25
_MEANINGFUL_TOKENS = 4
_WEIGHT = 0.2


class Pace:
    """A running mean of the time for one token; 0 until one is known."""

    def __init__(self) -> None:
        self.token_s = 0.0

    def learn(self, batch: Iterable[Chunk]) -> None:
        """Take in what the engine says about an answer."""
        for chunk in batch:
            timings = (chunk.fields or {}).get("timings")
            if not isinstance(timings, dict) or timings.get("predicted_n", 0) < _MEANINGFUL_TOKENS:
                continue
            token_s = float(timings.get("predicted_per_token_ms") or 0.0) / 1000
            self.token_s += (token_s - self.token_s) * (_WEIGHT if self.token_s else 1.0)

    def is_brief(self, ask: Ask) -> bool:
        """Whether an answer may be asked for at a stroke.

        Such an answer cannot be called off, so its longest form must be over before that would
        matter; and the engine counts tokens rightly only where one answer to one prompt is wanted.
        """
        single = ask.choices == 1 and not isinstance(ask.body.get("prompt"), list)
        longest_s = ask.body.get("max_tokens", 0) * self.token_s
        return single and not ask.stream and 0 < longest_s <= _BRIEF_S
