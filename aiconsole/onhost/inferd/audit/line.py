"""One finished request as one line of JSON."""

from __future__ import annotations

import json
import time
from typing import Any

import orjson

from aiconsole.onhost.inferd.exchange import Exchange


class Clock:
    """The time of now as ISO 8601 in UTC; the part that stays the same for a second is kept."""

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def now(self) -> str:
        """With milliseconds."""
        at_s = time.time()
        second = int(at_s)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._prefix}.{int((at_s - second) * 1000):03d}+00:00"


def line(exchange: Exchange, now: str, release_id: str) -> bytes:
    """All that is worth knowing of a request later; never its key, and never the answer."""
    fields: dict[str, Any] = {
        "ts": now,
        "id": exchange.request_id,
        "key": exchange.grant.name,
        "ip": exchange.client,
        "method": exchange.method,
        "route": exchange.route,
        "model": exchange.model,
        "release": release_id,
        "code": exchange.code,
        "reason": exchange.reason,
        "finish": exchange.finish_reason,
        "stream": exchange.stream,
        "prompt_tokens": exchange.prompt_tokens,
        "completion_tokens": exchange.completion_tokens,
        "queue_s": round(exchange.queue_s, 4),
        "ttft_s": round(exchange.ttft_s, 4),
        "total_s": round(exchange.elapsed_s, 4),
        "cache": exchange.cache,
        "prompt_sha256": exchange.prompt_sha256,
    }
    if exchange.prompt:
        fields["prompt"] = exchange.prompt
    try:
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half of a surrogate pair, from somebody else's token
        return json.dumps(fields).encode("ascii") + b"\n"
