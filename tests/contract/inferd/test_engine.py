"""The contract of every engine: what `engine/protocol.py` promises, each engine keeps."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.make import make_engine
from aiconsole.onhost.inferd.engine.protocol import Ask, Engine
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.settings import (
    CommandSettings,
    EngineSettings,
    ModelSettings,
    RemoteSettings,
    Settings,
)
from aiconsole.onhost.inferd.start_error import StartError
from tests.contract.inferd.servers import llama_at_port, llama_program
from tests.contract.inferd.test_crash import external_binary

SHORT = Ask("text", {"model": "m", "prompt": "hi", "max_tokens": 4})
LONG = Ask("text", {"model": "m", "prompt": "hi", "max_tokens": 8000, "ignore_eos": True})


LOCAL = ("llama", "binary", "command-port", "command-socket")
KEY = "k-of-the-provider"


def _make(kind: str, model: Path, room: Path, url: str = "") -> Engine:
    binary = external_binary(room) if kind == "binary" else ""
    name = "remote" if url else kind.partition("-")[0].replace("binary", "llama")
    engine = EngineSettings(
        kind=name,  # type: ignore[arg-type]
        slots=1,
        binary=binary,
        command=_command(kind, room) if name == "command" else None,
        remotes=[RemoteSettings(name="far", url=url, credential="far")] if url else [],
    )
    path = "" if url else str(model)
    settings = Settings(model=ModelSettings(name="m", path=path), engine=engine)
    return make_engine(settings, Credentials(room), room, lambda: None)


def _command(kind: str, room: Path) -> CommandSettings:
    argv = [llama_program(room), "--model", "{model}", "--name", "{model_name}"]
    argv += ["--slots", "{slots}"]
    if kind == "command-socket":
        return CommandSettings(argv=[*argv, "--host", "{socket}"], transport="socket")
    return CommandSettings(argv=[*argv, "--port", "{port}"], key_variable="ITS_KEY", progress=True)


@pytest.fixture(params=[*LOCAL, "remote"])
async def engine(
    request: pytest.FixtureRequest, slow_model: Path, room: Path
) -> AsyncIterator[Engine]:
    with ExitStack() as stack:
        url = ""
        if request.param == "remote":
            (room / "far").write_text(KEY + "\n")
            (room / "far").chmod(0o600)
            url = stack.enter_context(llama_at_port(room, slow_model, KEY))
        engine = _make(request.param, slow_model, room, url)
        assert engine.status().state == "starting"
        await engine.start()
        yield engine
        await engine.stop(1.0)
        assert engine.status().state == "stopped"


async def _tokens(engine: Engine, ask: Ask) -> int:
    found = 0
    async with aclosing(engine.stream(ask)) as batches:
        async for batch in batches:
            for chunk in batch:
                usage = (chunk.fields or {}).get("usage")
                found += usage["completion_tokens"] if usage else 0
    return found


async def test_it_is_ready_after_its_start_and_knows_its_size(
    engine: Engine, request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["engine"]
    status = engine.status()
    assert (status.state, status.reason, status.restarts) == ("ready", "", 0)
    if kind == "remote":
        assert status.pid == 0
    else:
        os.kill(status.pid, 0)  # it is there
    known = 8192 if kind in ("llama", "binary") else 0
    assert (engine.context_tokens, engine.slots) == (known, 1)


async def test_it_embeds_and_refuses_what_does_not_fit_with_the_numbers(engine: Engine) -> None:
    answer = await engine.embed({"model": "m", "input": ["one", "two"]})
    assert len(answer["data"]) == 2
    assert answer["data"][0]["embedding"]
    with pytest.raises(ApiError) as refused:
        await engine.embed({"model": "m", "input": "abc " * 400})
    assert (refused.value.status, refused.value.code) == (400, "context_length_exceeded")
    assert refused.value.param == "input"
    assert refused.value.extra["n_prompt_tokens"] > refused.value.extra["n_batch"] > 0


async def test_it_shows_series_of_its_own(engine: Engine, request: pytest.FixtureRequest) -> None:
    remote = request.node.callspec.params["engine"] == "remote"
    wanted = b"inferd_remote_up" if remote else b"llamacpp:prompt_tokens_total"
    assert wanted in await engine.metrics_text()


async def test_a_stream_ends_with_its_counts(engine: Engine) -> None:
    assert await _tokens(engine, SHORT) == 4
    chat = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    assert await _tokens(engine, Ask("chat", chat)) == 3


async def test_closing_a_stream_frees_its_slot(engine: Engine) -> None:
    for _ in range(3):
        async with aclosing(engine.stream(LONG)) as batches:
            await anext(batches)
        # The whole answer takes over ten seconds; the only slot must be free long before.
        assert await asyncio.wait_for(_tokens(engine, SHORT), 5) == 4


async def test_a_cancelled_reader_frees_its_slot(engine: Engine) -> None:
    task = asyncio.create_task(_tokens(engine, LONG))
    async with aclosing(engine.stream(SHORT)) as waiting:
        first = asyncio.ensure_future(anext(waiting))
        await asyncio.wait([first], timeout=0.5)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.wait_for(first, 5)


async def test_a_prompt_still_at_work_is_called_off_too(engine: Engine) -> None:
    prompt = "abc " * 2000
    ask = Ask("text", {"model": "m", "prompt": prompt, "max_tokens": 4}, size_bytes=len(prompt))
    task = asyncio.create_task(_tokens(engine, ask))
    await asyncio.sleep(0.3)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert await asyncio.wait_for(_tokens(engine, SHORT), 10) == 4


async def test_a_request_that_it_refuses(engine: Engine) -> None:
    too_long = Ask("text", {"model": "m", "prompt": "abc " * 9000, "max_tokens": 1})
    with pytest.raises(ApiError) as refused:
        await _tokens(engine, too_long)
    assert (refused.value.status, refused.value.code) == (400, "context_length_exceeded")
    assert await _tokens(engine, SHORT) == 4


async def test_its_end_breaks_off_what_runs(engine: Engine) -> None:
    async with aclosing(engine.stream(LONG)) as batches:
        await anext(batches)
        await engine.stop(1.0)
        with pytest.raises(ApiError) as broken:
            async for _ in batches:
                pass
    assert broken.value.status == 503
    with pytest.raises(ApiError) as refused:
        await _tokens(engine, SHORT)
    assert refused.value.code == "engine_unavailable"


async def test_a_model_that_it_cannot_load(room: Path) -> None:
    bad = room / "bad.gguf"
    bad.write_bytes(b"GGUF")
    engine = _make("llama", bad, room)
    with pytest.raises(StartError, match="truncated"):
        await engine.start()
    assert engine.status().state == "failed"
    assert "truncated" in engine.status().reason
    await engine.stop(0.0)
