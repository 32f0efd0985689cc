"""A service that behaves badly in ways that a test chooses, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

USAGE = {"prompt_tokens": 10, "completion_tokens": 3}


class Service:
    """Its answers, and what it was asked.

    Attributes:
        url: Where it listens.
        handler: Answers each request of the load.
        bodies: Every body that came.
        headers: Those of the newest request.
        paths: Where requests of the load went.
        never_answered: Requests of the load that came to hang.
    """

    def __init__(self) -> None:
        self.url = ""
        self.handler: Handler = answer
        self.bodies: list[dict[str, object]] = []
        self.headers: dict[str, str] = {}
        self.models: Handler = list_models
        self.paths: set[str] = set()
        self.never_answered = 0

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            return await self.models(request)
        self.bodies.append(await request.json())
        self.headers = dict(request.headers)
        self.paths.add(request.path)
        self.never_answered += self.handler is never
        return await self.handler(request)


@asynccontextmanager
async def service() -> AsyncGenerator[Service, None]:
    """A service for as long as the context lasts."""
    found = Service()
    runner = web.ServerRunner(web.Server(found.serve), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


async def list_models(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({"data": [{"id": "bad"}]})


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    """A good one."""
    if not (await request.json()).get("stream"):
        choices = [{"message": {"content": "a b c"}, "text": "a b c", "finish_reason": "stop"}]
        return web.json_response({"choices": choices, "usage": USAGE})
    response = await opened(request)
    for piece in "abc":
        await response.write(event(piece))
        await asyncio.sleep(0.01)
    await response.write(b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


async def opened(request: web.BaseRequest) -> web.StreamResponse:
    """A stream that has begun."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


async def generate(request: web.BaseRequest) -> web.StreamResponse:
    """A good stream in inferd's plain shape."""
    response = await opened(request)
    for piece in "abc":
        await response.write(b"data: " + json.dumps({"text": piece}).encode() + b"\n\n")
        await asyncio.sleep(0.01)
    ending = {"finish_reason": "stop", "usage": USAGE}
    await response.write(b"data: " + json.dumps(ending).encode() + b"\n\ndata: [DONE]\n\n")
    return response


async def embed(request: web.BaseRequest) -> web.StreamResponse:
    """A vector."""
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return web.json_response({"data": [{"embedding": [0.5]}], "usage": usage})


def event(text: str) -> bytes:
    """One piece of a chat."""
    document = {"choices": [{"delta": {"content": text}, "finish_reason": None}]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def status(code: int, text: str = "", headers: dict[str, str] | None = None) -> Handler:
    """Always this status."""

    async def say(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=code, text=text, headers=headers)

    return say


async def garbage(request: web.BaseRequest) -> web.StreamResponse:
    """Something that is no JSON."""
    return web.Response(text="\x1b[31m<html>", content_type="application/json")


async def garbage_stream(request: web.BaseRequest) -> web.StreamResponse:
    """A stream of something else."""
    response = await opened(request)
    await response.write(b"data: {half\n\n")
    return response


async def cut_stream(request: web.BaseRequest) -> web.StreamResponse:
    """A stream whose connection is closed amid it."""
    response = await opened(request)
    await response.write(event("a"))
    assert request.transport
    request.transport.abort()
    return response


async def short_stream(request: web.BaseRequest) -> web.StreamResponse:
    """A stream that ends as if it were whole, without a last word."""
    response = await opened(request)
    await response.write(event("a"))
    return response


async def error_stream(request: web.BaseRequest) -> web.StreamResponse:
    """A stream with an error in it."""
    response = await opened(request)
    error = json.dumps({"error": {"message": "engine \x1b[2J gone"}})
    await response.write(event("a") + f"data: {error}\n\n".encode())
    return response


async def reset(request: web.BaseRequest) -> web.StreamResponse:
    """The connection closes without an answer."""
    assert request.transport
    request.transport.abort()
    return web.Response()


async def never(request: web.BaseRequest) -> web.StreamResponse:
    """An answer that does not come."""
    await asyncio.sleep(3600)
    return web.Response()
