"""What came of requests, in a form that adds up: over time, and over workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from aiconsole.load.exchange import Exchange
from aiconsole.load.failure import EXAMPLE_CHARACTERS, FailedError
from aiconsole.load.histogram import Histogram

_MOST_KINDS = 40
"""Kinds of failure, since a hostile server can make up statuses."""


@dataclass(slots=True)
class Tally:
    """Requests of a stretch of time; those of the warm-up count for the rates alone."""

    sent: int = 0
    answered: int = 0
    not_sent: int = 0
    """Due while as many were at work as may be: the client's limit."""
    unfinished: int = 0
    """At work when the load was ended early."""
    by_pieces: int = 0
    """Answers whose tokens the server did not count: pieces stand for them."""
    requests_in_window: float = 0.0
    """Answers, each by the share of its time that lies within the measured time."""
    tokens_in: float = 0.0
    """Of prompts, by the same share."""
    tokens_out: float = 0.0
    failed: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    """One text for each kind of failure, as the server sent it: hostile."""
    latency: Histogram = field(default_factory=Histogram)
    """From when a request was due to the end of its answer."""
    service: Histogram = field(default_factory=Histogram)
    """From its sending: what a client sees that does not count its own waiting."""
    first_token: Histogram = field(default_factory=Histogram)
    """From when it was due to the first piece of text."""
    between: Histogram = field(default_factory=Histogram)
    """Between two pieces of text."""
    late: Histogram = field(default_factory=Histogram)
    """How much later than due requests were sent."""
    loop_lag: Histogram = field(default_factory=Histogram)
    """How much later than asked for the client's own loop came to turn."""

    def count(self, due_s: float, exchange: Exchange, *, streams: bool) -> None:
        """Add a request of the measured time."""
        if exchange.answer is None:
            self.fail(exchange.failed or FailedError("unknown", ""))
            return
        self.answered += 1
        self.latency.record(exchange.ended_s - due_s)
        self.service.record(exchange.ended_s - exchange.sent_s)
        if streams and exchange.answer.arrivals_s:
            arrivals_s = exchange.answer.arrivals_s
            self.first_token.record(arrivals_s[0] - due_s)
            for before_s, after_s in pairwise(arrivals_s):
                self.between.record(after_s - before_s)

    def credit(self, exchange: Exchange, from_s: float, until_s: float, *, streams: bool) -> None:
        """Add an answer to the rates, by the share of its time that lies in the window.

        So a few long answers at either end neither flatter nor spoil them.
        """
        answer, whole_s = exchange.answer, exchange.ended_s - exchange.sent_s
        inside_s = min(exchange.ended_s, until_s) - max(exchange.sent_s, from_s)
        if answer is None or inside_s <= 0:
            return
        share = inside_s / whole_s
        self.requests_in_window += share
        tokens_out = answer.tokens_out
        if tokens_out is None and streams:
            self.by_pieces += 1
            tokens_out = len(answer.arrivals_s)
        self.tokens_out += share * (tokens_out or 0)
        self.tokens_in += share * (answer.tokens_in or 0)

    def fail(self, failed: FailedError) -> None:
        """Count a failure."""
        kind = failed.kind
        if kind not in self.failed and len(self.failed) >= _MOST_KINDS:
            kind = "others"
        self.failed[kind] = self.failed.get(kind, 0) + 1
        self.examples.setdefault(kind, failed.example)

    @property
    def failures(self) -> int:
        """All of them."""
        return sum(self.failed.values())

    def merge(self, other: Tally) -> None:
        """Add what another has counted."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        for kind, count in other.failed.items():
            self.failed[kind] = self.failed.get(kind, 0) + count
        for kind, example in other.examples.items():
            self.examples.setdefault(kind, example)

    def as_json(self) -> dict[str, Any]:
        """As it passes between processes."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        histograms = {name: getattr(self, name).as_json() for name in _HISTOGRAMS}
        return {**numbers, **histograms, "failed": self.failed, "examples": self.examples}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Tally:
        """The reverse of `as_json`."""
        found = cls(**{name: document[name] for name in _NUMBERS})
        for name in _HISTOGRAMS:
            setattr(found, name, Histogram.from_json(document[name]))
        found.failed = dict(document["failed"])
        found.examples = {k: v[:EXAMPLE_CHARACTERS] for k, v in document["examples"].items()}
        return found


_NUMBERS = (
    "sent", "answered", "not_sent", "unfinished", "by_pieces", "requests_in_window",
    "tokens_in", "tokens_out",
)  # fmt: skip
_HISTOGRAMS = ("latency", "service", "first_token", "between", "late", "loop_lag")
