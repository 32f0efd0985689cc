"""An answer's events as they come from a server: read, bounded, and told apart."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.protocol import Chunk
from aiconsole.onhost.inferd.engine.refusal import in_stream, refusal
from aiconsole.onhost.inferd.engine.transport import BrokeOffError, Response

_MAX_EVENT_BYTES = 8 * 1024 * 1024


async def events(response: Response) -> AsyncGenerator[list[Chunk], None]:
    """Chunks, as many at a time as arrived together; an empty batch is progress with the prompt.

    Raises:
        BrokeOffError: The server ended without its closing mark, or sent something else.
        RefusalError: It told of an error.
    """
    rest = b""
    while True:
        data = await response.pieces()
        if not data:
            raise BrokeOffError("no [DONE]")
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _MAX_EVENT_BYTES:
            raise BrokeOffError("an event without end")
        batch: list[Chunk] = []
        done = progress = False
        for line in lines:
            if line.startswith(b"data:"):
                told = line[5:].strip()
                if told == b"[DONE]":
                    done = True
                    break
                if b'"prompt_progress":' in told:
                    progress = True
                elif told and (chunk := _chunk(told)) is not None:
                    batch.append(chunk)
            elif line.startswith(b"error: "):
                raise refusal(in_stream(decode(line[7:])))
        if batch or progress:
            yield batch
        if done:
            return


def _chunk(data: bytes) -> Chunk | None:
    if b'"finish_reason":null' in data and not (
        b'"usage":' in data or b'"finish_reason":"' in data
    ):
        # A piece of text; quotes within it are escaped, so these marks are keys and no text.
        return Chunk(data, None)
    fields = decode(data)
    if not isinstance(fields, dict):
        return None
    if fields.get("error") or fields.get("object") == "error":
        raise refusal(in_stream(fields))
    return Chunk(data, None if _is_piece(fields) else fields)


def _is_piece(fields: dict[str, Any]) -> bool:
    """Whether it is a piece of text in mid-answer from a server that writes its JSON otherwise."""
    choices = fields.get("choices")
    if not isinstance(choices, list) or not choices or fields.get("usage"):
        return False
    return not any(isinstance(c, dict) and c.get("finish_reason") for c in choices)


def decode(data: bytes) -> Any:
    """JSON of a server.

    Raises:
        BrokeOffError: It is none.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BrokeOffError("an event that is not JSON") from error
