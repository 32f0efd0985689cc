"""What a load is: whom it asks, what, and how often. It passes to a worker as one line of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

Endpoint: TypeAlias = Literal["chat", "completions", "embeddings", "generate"]
Arrivals: TypeAlias = Literal["poisson", "even"]

PATHS: dict[Endpoint, str] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "generate": "/v1/generate",
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one request asks; a file of prompts has one a line."""

    text: str = ""
    messages: tuple[dict[str, Any], ...] = ()
    """Of a chat, in place of the text."""
    max_tokens: int = 0
    """0: as the load says."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked for."""

    endpoint: Endpoint = "chat"
    model: str = ""
    """Empty: the body names none."""
    stream: bool = True
    max_tokens: int = 64
    temperature: float | None = None
    ignore_eos: bool = False
    """Ask for all of `max_tokens`; servers that do not know the field ignore or refuse it."""
    prompt_tokens: int = 64
    """About how long a made-up prompt is."""
    seed: int = 1
    """Of made-up prompts and of Poisson arrivals."""
    unique_mark: str = ""
    """Begins each prompt, together with the request's number, so that no cache knows it; empty:
    prompts repeat."""
    prompts: tuple[Prompt, ...] = ()
    """In turn; empty: made up."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When requests are sent."""

    rate: float = 0.0
    """Requests a second on a schedule (an open loop); 0: each client waits for its answer."""
    arrivals: Arrivals = "poisson"
    clients: int = 4
    """Of a closed loop."""
    max_in_flight: int = 1000
    """Of an open loop; a request that is due beyond it is not sent, and counted."""
    warmup_s: float = 0.0
    duration_s: float = 30.0
    """Measured time; 0 where `requests` says the end."""
    requests: int = 0
    """Measured requests; 0 where `duration_s` says the end."""

    @property
    def is_open(self) -> bool:
        """True where requests leave on a schedule, whatever the answers do."""
        return self.rate > 0


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that a worker needs but the key."""

    url: str
    """Base of the service, without `/v1`."""
    shape: Shape = field(default_factory=Shape)
    pace: Pace = field(default_factory=Pace)
    timeout_s: float = 60.0
    """Of one request, from its sending to the end of its answer."""
    ca_file: str = ""
    """PEM of the authorities that are trusted; empty: the system's."""
    worker: int = 0
    workers: int = 1
    """Of these workers, this one takes every `workers`-th request."""

    @property
    def request_url(self) -> str:
        """Where requests go."""
        return self.url + PATHS[self.shape.endpoint]

    @property
    def streams(self) -> bool:
        """True where answers come in pieces; an embedding never does."""
        return self.shape.stream and self.shape.endpoint != "embeddings"

    def share(self, worker: int, workers: int) -> Spec:
        """The part of one worker."""
        pace = replace(
            self.pace,
            clients=_part(self.pace.clients, worker, workers),
            max_in_flight=max(1, _part(self.pace.max_in_flight, worker, workers)),
            requests=_part(self.pace.requests, worker, workers),
        )
        return replace(self, pace=pace, worker=worker, workers=workers)

    def as_json(self) -> dict[str, Any]:
        """As it passes to a worker."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Spec:
        """The reverse of `as_json`."""
        shape = dict(document["shape"])
        shape["prompts"] = tuple(
            Prompt(p["text"], tuple(p["messages"]), p["max_tokens"]) for p in shape["prompts"]
        )
        rest = {**document, "shape": Shape(**shape), "pace": Pace(**document["pace"])}
        return cls(**rest)


def _part(whole: int, worker: int, workers: int) -> int:
    return whole // workers + (1 if worker < whole % workers else 0)
