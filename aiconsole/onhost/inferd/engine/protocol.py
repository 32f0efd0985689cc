"""What every engine can do, whatever computes the tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

EngineState: TypeAlias = Literal[
    "starting", "loading", "ready", "stalled", "restarting", "stopped", "failed"
]
Kind: TypeAlias = Literal["chat", "text"]
Wish: TypeAlias = Literal["", "use", "no-store"]
"""What a client wants of the cache; nothing leaves it to the kind of request."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One checked request."""

    kind: Kind
    body: dict[str, Any]
    """Fields of OpenAI's API that the engine gets; `stream` is the engine's own affair."""
    stream: bool = False
    """Whether the client reads the answer as it is made."""
    include_usage: bool = False
    """Whether the client wants the count of tokens at the end of a stream."""
    choices: int = 1
    """Answers wanted for each prompt."""
    size_bytes: int = 0
    """Of the client's request: its prompt has no more tokens than that."""
    cache: Wish = ""


@dataclass(slots=True)
class Chunk:
    """One event of an engine's stream, or a whole answer."""

    data: bytes
    """JSON text as the engine sent it; empty for a whole answer."""
    fields: dict[str, Any] | None
    """The same, decoded; None for a piece of text in mid-answer, which need not be."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """How an engine is now."""

    state: EngineState
    reason: str = ""
    """Why it is not ready, in plain words; after a crash the reason of it is kept."""
    phase: str = ""
    """What it is doing while it loads."""
    progress: float = 0.0
    """0 to 1 within the phase; 0 where it is not known."""
    restarts: int = 0
    last_fault: str = ""
    """Why it was started again the last time; kept when it is ready."""
    pid: int = 0
    """Of the process that computes; 0 where it is not on this machine."""


class Engine(Protocol):
    """Something that answers completions."""

    @property
    def context_tokens(self) -> int:
        """Tokens that prompt and answer of one request may have together."""

    @property
    def slots(self) -> int:
        """Requests that it computes together."""

    def status(self) -> EngineStatus:
        """How it is now."""

    async def start(self) -> None:
        """Load, and return when it answers.

        Raises:
            StartError: It cannot be loaded.
        """

    def stream(self, ask: Ask) -> AsyncGenerator[list[Chunk], None]:
        """Compute one request; closing the generator ends the work at once.

        Raises:
            ApiError: The engine refused the request, or broke off.
        """

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer of OpenAI's `/v1/embeddings` to a checked request.

        Raises:
            ApiError: The engine refused it, cannot do it, or broke off.
        """

    async def metrics_text(self) -> bytes:
        """The engine's own series in Prometheus' format; empty where it has none.

        Raises:
            ApiError: It does not answer.
        """

    async def stop(self, grace_s: float) -> None:
        """End it; after `grace_s` by force."""
