"""What an answer holds: pieces of text as they come, tokens as the server counted them."""

from __future__ import annotations

import json
from typing import Any

from aiconsole.load.failure import BAD, CUT, EVENT, FailedError

_MOST_LINE_BYTES = 4 * 1024 * 1024


class Answer:
    """One answer, fed piece by piece.

    Attributes:
        arrivals_s: When each piece of text came, by the clock of the caller.
        tokens_in: Of the prompt, as the server said; None where it did not.
        tokens_out: Of the answer, likewise.
    """

    __slots__ = ("_ended", "_rest", "arrivals_s", "tokens_in", "tokens_out")

    def __init__(self) -> None:
        self.arrivals_s: list[float] = []
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None
        self._rest = b""
        self._ended = False

    def feed(self, data: bytes, now_s: float) -> None:
        """Take what came of a stream of events.

        Raises:
            FailedError: It holds an error, or is no stream of JSON events.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MOST_LINE_BYTES:
            raise FailedError(BAD, "an event without end")
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip(), now_s)

    def close(self) -> None:
        """The stream has ended.

        Raises:
            FailedError: It ended too early.
        """
        if not self._ended:
            seen = len(self.arrivals_s)
            raise FailedError(CUT, f"it ended after {seen} pieces, without a last word")

    def whole(self, data: bytes, now_s: float) -> None:
        """Take an answer that came at once.

        Raises:
            FailedError: It is none.
        """
        document = _parsed(data)
        self._count(document)
        vectors = document.get("data")
        if _said(document) is None and not (isinstance(vectors, list) and vectors):
            raise FailedError(BAD, data[:200].decode(errors="replace"))
        self.arrivals_s.append(now_s)

    def _event(self, payload: bytes, now_s: float) -> None:
        if payload == b"[DONE]":
            self._ended = True
            return
        document = _parsed(payload)
        self._count(document)
        if _said(document):
            self.arrivals_s.append(now_s)
        if document.get("done") or document.get("finish_reason"):
            self._ended = True
        choice = _choice(document)
        if choice and choice.get("finish_reason"):
            self._ended = True

    def _count(self, document: dict[str, Any]) -> None:
        usage = document.get("usage")
        if not isinstance(usage, dict):
            return
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
        if isinstance(prompt, int) and isinstance(completion, int):
            self.tokens_in, self.tokens_out = max(0, prompt), max(0, completion)


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise FailedError(BAD, data[:200].decode(errors="replace"))
    if error := document.get("error"):
        said = error.get("message") if isinstance(error, dict) else error
        raise FailedError(EVENT, str(said))
    return document


def _choice(document: dict[str, Any]) -> dict[str, Any] | None:
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def _said(document: dict[str, Any]) -> Any:
    """The text of an event or of an answer, in the place where each endpoint has it.

    None where there is no place for it; a call of a tool counts as text.
    """
    choice = _choice(document)
    if choice is None:
        return document.get("text", document.get("token"))
    message = choice.get("delta", choice.get("message"))
    if not isinstance(message, dict):
        return choice.get("text")
    for name in ("content", "reasoning_content", "tool_calls"):
        if message.get(name):
            return message[name]
    return ""
