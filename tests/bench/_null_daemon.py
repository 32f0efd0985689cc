"""The daemon with an engine that costs nothing: what is measured is the gateway alone.

`python -m tests.bench._null_daemon` takes the daemon's own options.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from typing import Any

import orjson

from aiconsole.onhost.inferd import __main__ as entry
from aiconsole.onhost.inferd import daemon
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk, EngineStatus

_TEXT = "The web server is up. Nothing has to be done about it now."


class NullEngine:
    """Answers every request at once with the same text."""

    context_tokens = 8192
    slots = 64

    def status(self) -> EngineStatus:
        return EngineStatus("ready")

    async def start(self) -> None:
        return

    async def stream(self, ask: Ask) -> AsyncGenerator[list[Chunk], None]:
        chat = ask.kind == "chat"
        piece = {"delta": {"content": _TEXT}} if chat else {"text": _TEXT}
        fields: dict[str, Any] = {
            "id": "null-1",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": 0,
            "model": ask.body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", **piece}],
            "usage": {"prompt_tokens": 8, "completion_tokens": 16, "total_tokens": 24},
        }
        yield [Chunk(orjson.dumps(fields), fields)]

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        one = {"object": "embedding", "index": 0, "embedding": [0.0] * 8}
        return {"object": "list", "model": body["model"], "data": [one], "usage": {}}

    async def metrics_text(self) -> bytes:
        return b""

    async def stop(self, grace_s: float) -> None:
        return


if __name__ == "__main__":
    daemon.make_engine = lambda *_: NullEngine()  # type: ignore[attr-defined]
    sys.exit(entry.main())
