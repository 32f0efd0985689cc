"""An OpenAI-compatible server, as a client sees it: on a UNIX socket, a port, or far away.

It is asked for a stream, even for an answer that the client wants as a whole: a stream is the one
shape in which servers notice at once that their client has gone, and free the slot.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from aiconsole.onhost.inferd.engine.endpoint import Endpoint
from aiconsole.onhost.inferd.engine.events import decode, events
from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk, Kind
from aiconsole.onhost.inferd.engine.refusal import RefusalError, gone, read, refusal
from aiconsole.onhost.inferd.engine.transport import BrokeOffError, NotReachedError, Response
from aiconsole.onhost.inferd.engine.usage import counted_once

_PATHS: dict[Kind, str] = {"chat": "/chat/completions", "text": "/completions"}
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024
_HEALTH_TIMEOUT_S = 5.0
_TAIL_S = 0.5
_LONGEST_PAUSE_S = 3600.0


class OpenAIUpstream:
    """Speaks to one server.

    llama.cpp closes the connection after a stream without saying so in a header: a kept
    connection would break under the next request, so each stream has its own there. After a whole
    answer the connection is good for the next one, which spares the server a thread's start.
    """

    def __init__(self, endpoint: Endpoint, connections: int) -> None:
        """Connect to nothing yet.

        Args:
            endpoint: The server.
            connections: How many may be kept for the next request; each may occupy a thread.
        """
        self.endpoint = endpoint
        self._quirks = endpoint.quirks
        self._transport = endpoint.transport(connections)
        self._tells_usage = True

    async def close(self) -> None:
        """Break off what runs, and close what is open."""
        await self._transport.close()

    async def healthy(self) -> bool:
        """Whether the server says that it is ready."""
        url = self.endpoint.root_url + self.endpoint.health_path
        try:
            response = await asyncio.wait_for(
                self._transport.ask("GET", url, b""), _HEALTH_TIMEOUT_S
            )
        except (OSError, asyncio.TimeoutError):
            return False
        status = response.status
        response.close()
        return status == 200

    async def stream(
        self, ask: Ask, *, tell_progress: bool = False
    ) -> AsyncGenerator[list[Chunk], None]:
        """Events of one answer, as many at a time as arrived together.

        With `tell_progress` there is an empty batch for each piece of the prompt that is done.

        Raises:
            RefusalError: Refused by the server, or broken off by it.
        """
        response = await self._opened(ask, tell_progress and self._quirks.tells_progress)
        try:
            made = events(response)
            if not self._quirks.sums_usage:
                made = counted_once(made, ask)
            async with aclosing(made) as batches:
                async for batch in batches:
                    yield batch
            if not self._quirks.closes_streams:
                await _to_the_end(response)
        except (OSError, asyncio.TimeoutError) as error:
            raise _lost(error) from error
        finally:
            response.close()

    async def whole(self, ask: Ask) -> list[Chunk]:
        """One answer at a stroke, as one chunk: half the work for the server of a short answer.

        Raises:
            RefusalError: Refused by the server, or broken off by it.
        """
        body = {**self._fields(ask.body), "stream": False}
        response = await self._post(_PATHS[ask.kind], body)
        fields = await self._decoded(response)
        for choice in fields["choices"]:
            if "message" in choice:
                choice["delta"] = choice.pop("message")
                for index, call in enumerate(choice["delta"].get("tool_calls") or ()):
                    call.setdefault("index", index)  # only a stream numbers them
        return [Chunk(b"", fields)]

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """One answer of `/v1/embeddings`.

        Raises:
            RefusalError: Refused by the server, or broken off by it.
        """
        return await self._decoded(await self._post("/embeddings", self._fields(body)))

    async def models(self) -> list[str]:
        """Names of the models that it says it has; empty where it does not say it in this way.

        Raises:
            RefusalError: Refused by the server, or broken off by it.
        """
        fields = await self._decoded(await self._send("GET", "/models", b""))
        data = fields.get("data")
        items = data if isinstance(data, list) else []
        return [str(item["id"]) for item in items if isinstance(item, dict) and "id" in item]

    async def metrics_text(self) -> bytes:
        """The server's own series.

        Raises:
            RefusalError: It does not answer.
        """
        url = self.endpoint.root_url + self.endpoint.metrics_path
        response = await self._request("GET", url, b"")
        return await self._read(response, _MAX_ANSWER_BYTES)

    async def _opened(self, ask: Ask, tell_progress: bool) -> Response:
        """Ask for a stream; a server that does not know how to count in one is asked without."""
        body: dict[str, Any] = {**self._fields(ask.body), "stream": True}
        if tell_progress:
            body["return_progress"] = True
        while True:
            if self._tells_usage:
                body["stream_options"] = {"include_usage": True}
            try:
                return await self._post(_PATHS[ask.kind], body, stream=True)
            except RefusalError as error:
                said = error.said
                if not self._tells_usage or said is None or said.status not in (400, 422):
                    raise
                if not ("stream_options" in said.message or "include_usage" in said.message):
                    raise
                self._tells_usage = False
                del body["stream_options"]

    def _fields(self, given: dict[str, Any]) -> dict[str, Any]:
        quirks = self._quirks
        if not quirks.model_name and quirks.max_tokens_field == "max_tokens":
            return given
        body = dict(given)
        if quirks.model_name:
            body["model"] = quirks.model_name
        if "max_tokens" in body:
            body[quirks.max_tokens_field] = body.pop("max_tokens")
        return body

    async def _decoded(self, response: Response) -> dict[str, Any]:
        data = await self._read(response, _MAX_ANSWER_BYTES)
        try:
            fields = decode(data)
        except BrokeOffError as error:
            raise gone() from error
        if not isinstance(fields, dict):
            raise gone()
        return fields

    async def _read(self, response: Response, limit_bytes: int) -> bytes:
        parts, size = [], 0
        try:
            while data := await response.pieces():
                size += len(data)
                if size > limit_bytes:
                    raise BrokeOffError(f"more than {limit_bytes} bytes")
                parts.append(data)
            return b"".join(parts)
        except (OSError, asyncio.TimeoutError) as error:
            raise _lost(error) from error
        finally:
            response.close()

    async def _post(self, path: str, body: dict[str, Any], *, stream: bool = False) -> Response:
        return await self._send("POST", path, orjson.dumps(body), stream=stream)

    async def _send(self, method: str, path: str, data: bytes, *, stream: bool = False) -> Response:
        return await self._request(method, self.endpoint.base_url + path, data, stream=stream)

    async def _request(
        self, method: str, url: str, data: bytes, *, stream: bool = False
    ) -> Response:
        """Send a request; the answer's head has come and says 200."""
        try:
            response = await self._transport.ask(method, url, data, stream=stream)
        except NotReachedError as error:
            raise gone("not-reached") from error
        except (OSError, asyncio.TimeoutError) as error:
            raise _lost(error) from error
        encoding = response.header("Content-Encoding") or "identity"
        if response.status == 200 and encoding == "identity":
            return response
        pause_s = _pause_s(response.header("Retry-After"))
        body = await self._read(response, _MAX_ERROR_BYTES)
        if response.status == 200:
            body = b'{"error": "it packs its answers, though it was asked not to"}'
        status = response.status if response.status >= 400 else 502
        if 300 <= response.status < 400:
            body = b'{"error": "it sends us elsewhere, and its key is for no other place"}'
        raise refusal(read(status, body, pause_s))


async def _to_the_end(response: Response) -> None:
    """Read what follows the closing mark, so that the connection is good for the next request."""
    try:
        while await asyncio.wait_for(response.pieces(), _TAIL_S):
            pass
    except (OSError, asyncio.TimeoutError):
        return  # the answer is whole; only its connection is lost


def _lost(error: Exception) -> RefusalError:
    return gone("silent" if isinstance(error, asyncio.TimeoutError) else "broke-off")


def _pause_s(text: str) -> float:
    """Seconds of a `Retry-After`, in either of its forms; 0 where it has neither."""
    try:
        wanted_s = float(text)
    except ValueError:
        try:
            wanted_s = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(0.0, wanted_s), _LONGEST_PAUSE_S)
