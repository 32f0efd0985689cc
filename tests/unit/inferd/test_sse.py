"""The stream towards a client: comments while nothing comes, errors as the last event."""

from __future__ import annotations

import asyncio
from typing import Any

from aiconsole.onhost.inferd.reply.sse import EventStream, event


class Sent:
    """Collects what an ASGI server would get."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.came = asyncio.Event()

    async def __call__(self, message: Any) -> None:
        self.messages.append(message)
        self.came.set()

    @property
    def text(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


async def test_a_quiet_stream_is_kept_alive_before_its_first_token() -> None:
    sent = Sent()
    stream = EventStream(sent, ping_s=0.01)
    while sent.text.count(b": keep-alive\n\n") < 2:
        sent.came.clear()
        await asyncio.wait_for(sent.came.wait(), 10)
    assert sent.messages[0]["status"] == 200
    await stream.finish(event(b"[DONE]"))
    assert sent.text.endswith(b": keep-alive\n\ndata: [DONE]\n\n")
    assert [m["type"] for m in sent.messages].count("http.response.start") == 1
    assert sent.messages[-1]["more_body"] is False


async def test_a_busy_stream_has_no_comments() -> None:
    sent = Sent()
    stream = EventStream(sent, ping_s=60)
    await stream.write(event(b"1"))
    await stream.write(event(b"2"))
    await stream.finish(b"")
    assert sent.text == b"data: 1\n\ndata: 2\n\n"


async def test_the_last_word_waits_for_nobody() -> None:
    async def never(message: Any) -> None:
        await asyncio.Event().wait()

    stream = EventStream(never, ping_s=60)
    await asyncio.wait_for(stream.last_word(b"bye"), 10)
