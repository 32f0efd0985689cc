"""An OpenAI-compatible server on a UNIX socket, as a client sees it.

It is asked for a stream, even for an answer that the client wants as a whole: a stream is the one
shape in which llama.cpp notices at once that its client has gone, and frees the slot.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import orjson

from aiconsole.onhost.inferd.engine.protocol import Ask, Chunk, Kind
from aiconsole.onhost.inferd.errors import ApiError, bad_request, unavailable

_PATHS: dict[Kind, str] = {"chat": "/v1/chat/completions", "text": "/v1/completions"}
_MAX_EVENT_BYTES = 8 * 1024 * 1024
_CONNECT_TIMEOUT_S = 5.0
_TOO_LARGE = re.compile(r"input \((\d+) tokens\) is too large to process.*batch size: (\d+)")
_KEPT_S = 2.0  # llama.cpp closes an idle connection after 5 s


class OpenAIUpstream:
    """Speaks to one server, on connections of two kinds.

    llama.cpp closes the connection after a stream without saying so in a header: a pooled
    connection would break under the next request, so each stream has its own. After a whole
    answer the connection is good for the next one, which spares the server a thread's start.
    """

    def __init__(self, socket_path: str, api_key: str, connections: int) -> None:
        """Connect to nothing yet.

        Args:
            socket_path: Where the server listens.
            api_key: What it wants to hear.
            connections: How many may be kept for whole answers; each one occupies a thread there.
        """
        once = aiohttp.UnixConnector(socket_path, force_close=True, limit=0)
        kept = aiohttp.UnixConnector(socket_path, keepalive_timeout=_KEPT_S, limit=connections)
        self._streams, self._answers = _session(once, api_key), _session(kept, api_key)
        self._open: set[aiohttp.ClientResponse] = set()

    async def close(self) -> None:
        """Break off what runs, and close what is open."""
        for response in self._open:
            response.close()  # closing the session alone would leave its reader waiting
        await self._streams.close()
        await self._answers.close()

    async def healthy(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            async with self._streams.get(
                "/health", timeout=aiohttp.ClientTimeout(total=_CONNECT_TIMEOUT_S)
            ) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError):
            return False

    async def stream(
        self, ask: Ask, *, tell_progress: bool = False
    ) -> AsyncGenerator[list[Chunk], None]:
        """Events of one answer, as many at a time as arrived together.

        With `tell_progress` there is an empty batch for each piece of the prompt that is done.

        Raises:
            ApiError: Refused by the server, or broken off by it.
        """
        body = {**ask.body, "stream": True, "stream_options": {"include_usage": True}}
        if tell_progress:
            body["return_progress"] = True
        response = await self._post(self._streams, _PATHS[ask.kind], body)
        self._open.add(response)
        try:
            async for batch in _events(response):
                yield batch
        except (aiohttp.ClientError, OSError) as error:
            raise _gone() from error
        finally:
            self._open.discard(response)
            response.close()

    async def whole(self, ask: Ask) -> list[Chunk]:
        """One answer at a stroke, as one chunk: half the work for the server of a short answer.

        Raises:
            ApiError: Refused by the server, or broken off by it.
        """
        body = {**ask.body, "stream": False}
        response = await self._post(self._answers, _PATHS[ask.kind], body)
        try:
            fields = _decode(await self._read(response))
        except aiohttp.ClientError as error:
            raise _gone() from error
        for choice in fields["choices"]:
            if "message" in choice:
                choice["delta"] = choice.pop("message")
                for index, call in enumerate(choice["delta"].get("tool_calls") or ()):
                    call.setdefault("index", index)  # only a stream numbers them
        return [Chunk(b"", fields)]

    async def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """One answer of `/v1/embeddings`.

        Raises:
            ApiError: Refused by the server, or broken off by it.
        """
        response = await self._post(self._answers, "/v1/embeddings", body)
        fields: dict[str, Any] = _decode(await self._read(response))
        return fields

    async def metrics_text(self) -> bytes:
        """The server's own series.

        Raises:
            ApiError: It does not answer.
        """
        try:
            response = await self._streams.get("/metrics")
        except (aiohttp.ClientError, OSError) as error:
            raise _gone() from error
        return await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        self._open.add(response)
        try:
            return await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _gone() from error
        finally:
            self._open.discard(response)
            response.close()

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        """Send a request; the answer's head has come and says 200."""
        try:
            response = await session.post(path, data=orjson.dumps(body))
        except (aiohttp.ClientError, OSError) as error:
            raise _gone() from error
        if response.status == 200:
            return response
        try:
            raise _refusal(response.status, await response.read())
        except (aiohttp.ClientError, OSError) as error:
            raise _gone() from error
        finally:
            response.close()


def _session(connector: aiohttp.BaseConnector, api_key: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        base_url="http://engine",
        connector=connector,
        headers={"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"},
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        auto_decompress=False,
    )


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[list[Chunk], None]:
    content, rest = response.content, b""
    while True:
        try:
            data = await content.readany()
        except RuntimeError as error:
            # aiohttp's way to say that the connection went down between two reads.
            raise aiohttp.ClientConnectionError(str(error)) from error
        if not data:
            # The server ended without its closing mark: the answer is not whole.
            raise aiohttp.ClientPayloadError("no [DONE]")
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _MAX_EVENT_BYTES:
            raise aiohttp.ClientPayloadError("an event without end")
        batch: list[Chunk] = []
        done = progress = False
        for line in lines:
            if line.startswith(b"data: "):
                if line.startswith(b"data: [DONE]"):
                    done = True
                    break
                if b'"prompt_progress":' in line:
                    progress = True
                    continue
                chunk = _chunk(line[6:].rstrip())
                if chunk is not None:
                    batch.append(chunk)
            elif line.startswith(b"error: "):
                raise _failure(_decode(line[7:]))
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
    fields = _decode(data)
    if not isinstance(fields, dict):
        return None
    if "error" in fields:
        raise _failure(fields)
    return Chunk(data, fields)


def _decode(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise aiohttp.ClientPayloadError("an event that is not JSON") from error


def _gone() -> ApiError:
    return unavailable("The engine broke off; it is being restarted.", code="engine_unavailable")


def _failure(fields: Any) -> ApiError:
    """An error in mid-stream."""
    error = fields.get("error") if isinstance(fields, dict) else None
    status = error.get("code") if isinstance(error, dict) else None
    return _refusal(status if isinstance(status, int) else 500, orjson.dumps(fields))


def _refusal(status: int, body: bytes) -> ApiError:
    """The server's error as ours: the client's mistakes stay 400, all else is not its fault."""
    try:
        error = orjson.loads(body)["error"]
        message, kind = str(error["message"]), str(error.get("type", ""))
    except (ValueError, KeyError, TypeError):
        error, message, kind = {}, "The engine gave no reason.", ""
    if kind == "exceed_context_size_error":
        numbers = {key: error[key] for key in ("n_prompt_tokens", "n_ctx") if key in error}
        return ApiError(
            400, message, code="context_length_exceeded", param="messages", extra=numbers
        )
    if found := _TOO_LARGE.match(message):
        given, limit = int(found[1]), int(found[2])
        return ApiError(
            400, f"An input has {given} tokens; at most {limit} can be embedded in one.",
            code="context_length_exceeded", param="input",
            extra={"n_prompt_tokens": given, "n_ctx": limit},
        )  # fmt: skip
    if 400 <= status < 500 and status not in (401, 403, 404):
        return bad_request(message, code="engine_refused")
    if status == 503:
        return unavailable(message, code="engine_loading")
    return ApiError(500, f"The engine failed: {message}", kind="server_error", code="engine_error")
