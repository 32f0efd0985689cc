"""Providers that refuse, limit, fail, hang, break off: who is asked next, who hears what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.engine.far import FarHttp
from aiconsole.onhost.inferd.engine.port import free_port
from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.engine.remote import RemoteEngine
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.settings import EngineSettings, ModelSettings, RemoteSettings
from aiconsole.onhost.inferd.start_error import StartError
from tests.contract.inferd.running import daemon, until
from tests.contract.inferd.servers import Flaw, Flawed, self_signed

CHAT = Ask("chat", {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3})
KEY = "k-123"


@pytest.fixture
def near() -> Iterator[Flawed]:
    with Flawed() as server:
        yield server


@pytest.fixture
def far() -> Iterator[Flawed]:
    with Flawed() as server:
        yield server


def _remote(server: Flawed, name: str = "near", **more: Any) -> RemoteSettings:
    return RemoteSettings(name=name, url=server.url, credential="key", model="far", **more)


def _engine(room: Path, *remotes: RemoteSettings, **more: Any) -> RemoteEngine:
    (room / "key").write_text(KEY + "\n")
    (room / "key").chmod(0o600)
    settings = EngineSettings(kind="remote", remotes=list(remotes), **more)
    return RemoteEngine(ModelSettings(name="m"), settings, Credentials(room))


@asynccontextmanager
async def _started(
    room: Path, *remotes: RemoteSettings, **more: Any
) -> AsyncIterator[RemoteEngine]:
    engine = _engine(room, *remotes, **more)
    await engine.start()
    for_proof = engine.status()
    assert for_proof.state == "ready"
    try:
        yield engine
    finally:
        await engine.stop(0.0)


async def _text(engine: RemoteEngine, ask: Ask = CHAT) -> str:
    found = b""
    async with aclosing(engine.stream(ask)) as batches:
        async for batch in batches:
            found += b"".join(chunk.data for chunk in batch)
    return found.decode()


async def _until(met: Any, limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < deadline, "never"
        await asyncio.sleep(0.02)


async def test_the_request_in_the_providers_own_words(room: Path, near: Flawed) -> None:
    remote = _remote(near, max_tokens_field="max_completion_tokens")
    async with _started(room, remote) as engine:
        usage = []
        async with aclosing(engine.stream(CHAT)) as batches:
            async for batch in batches:
                usage += [c.fields["usage"] for c in batch if c.fields and c.fields.get("usage")]
        assert usage == [{"prompt_tokens": 5, "completion_tokens": 3}]
        asked, headers = near.asked[-1], near.headers[-1]
        assert (asked["model"], asked["max_completion_tokens"]) == ("far", 3)
        assert "max_tokens" not in asked
        assert (asked["stream"], asked["stream_options"]) == (True, {"include_usage": True})
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert headers["Accept-Encoding"] == "identity"


async def test_one_that_cannot_count_in_a_stream(room: Path, near: Flawed) -> None:
    near.usage_refused = True
    async with _started(room, _remote(near)) as engine:
        await _text(engine)
        before = len(near.asked)
        assert "stream_options" not in near.asked[-1]
        await _text(engine)
        assert len(near.asked) == before + 1  # it has been understood


async def test_connections_are_kept(room: Path, near: Flawed) -> None:
    async with _started(room, _remote(near)) as engine:
        for _ in range(3):
            await _text(engine)
        (provider,) = engine._providers
        transport = provider.upstream._transport
        assert isinstance(transport, FarHttp)
        connector = transport._session.connector
        assert connector is not None
        assert sum(map(len, connector._conns.values())) == 1


@pytest.mark.parametrize(
    ("flaw", "status", "code", "told"),
    [
        ("400", 400, "engine_refused", "it is 400, key ***"),
        ("401", 502, "provider_key_refused", "refused its key"),
        ("403", 502, "provider_forbidden", "it is 403, key ***"),
        ("404", 502, "provider_model_unknown", "it is 404"),
        ("429", 429, "provider_rate_limited", "limits its rate"),
        ("500", 502, "provider_failed", "it is 500"),
        ("503", 502, "provider_failed", "it is 503"),
        ("redirect", 502, "provider_failed", "sends us elsewhere"),
        ("packed", 502, "provider_failed", "packs its answers"),
        ("cut-before", 502, "provider_broke_off", "broke off"),
        ("garbage", 502, "provider_broke_off", "broke off"),
        ("hang", 504, "provider_silent", "sent nothing for too long"),
    ],
)
async def test_what_the_client_hears(
    room: Path, near: Flawed, flaw: Flaw, status: int, code: str, told: str
) -> None:
    async with _started(room, _remote(near), remote_attempts=1, stall_timeout_s=1.0) as engine:
        near.flaw, near.retry_after = flaw, "7" if flaw == "429" else ""
        with pytest.raises(ApiError) as heard:
            await _text(engine)
        error = heard.value
        assert (error.status, error.code) == (status, code)
        assert told in error.message
        assert KEY not in error.message
        assert (error.retry_after_s == 7) is (flaw == "429")
        near.flaw = "none"
        if flaw not in ("401", "403", "429"):  # of those, the next one would fail alike
            assert "a" in await _text(engine)


async def test_what_can_be_tried_again_is(room: Path, near: Flawed) -> None:
    async with _started(room, _remote(near), remote_attempts=3) as engine:
        near.flaw = "500"
        before = len(near.asked)
        task = asyncio.create_task(_text(engine))
        await _until(lambda: len(near.asked) > before)
        near.flaw = "none"
        assert "a" in await task
        near.flaw, before = "400", len(near.asked)
        with pytest.raises(ApiError):
            await _text(engine)
        assert len(near.asked) == before + 1  # what the client did wrong is not


async def test_nothing_is_tried_again_once_an_answer_has_begun(
    room: Path, near: Flawed, far: Flawed
) -> None:
    async with _started(room, _remote(near), _remote(far, "far", tier=1)) as engine:
        near.flaw = "cut-after"
        before = len(near.asked), len(far.asked)
        with pytest.raises(ApiError, match="broke off") as heard:
            await _text(engine)
        assert heard.value.code == "provider_broke_off"
        assert (len(near.asked), len(far.asked)) == (before[0] + 1, before[1])


@pytest.mark.parametrize("flaw", ["401", "403", "429", "500", "cut-before"])
async def test_a_lower_tier_stands_in(room: Path, near: Flawed, far: Flawed, flaw: Flaw) -> None:
    async with _started(room, _remote(near), _remote(far, "far", tier=1)) as engine:
        before = len(far.asked)
        await _text(engine)
        assert len(far.asked) == before
        near.flaw = flaw
        assert "a" in await _text(engine)
        assert len(far.asked) == before + 1
        assert engine.status().state == "ready"


async def test_weights_are_followed(room: Path, near: Flawed, far: Flawed) -> None:
    remotes = _remote(near, weight=3), _remote(far, "far", weight=1)
    async with _started(room, *remotes) as engine:
        before = len(near.asked), len(far.asked)
        for _ in range(8):
            await _text(engine)
        assert (len(near.asked) - before[0], len(far.asked) - before[1]) == (6, 2)


async def test_one_that_asks_for_peace_gets_it(room: Path, near: Flawed) -> None:
    async with _started(room, _remote(near)) as engine:
        near.flaw, near.retry_after = "429", "60"
        with pytest.raises(ApiError):
            await _text(engine)
        near.flaw, before = "none", len(near.asked)
        with pytest.raises(ApiError) as heard:
            await _text(engine)
        assert (heard.value.status, heard.value.code) == (429, "provider_rate_limited")
        assert 50 < heard.value.retry_after_s <= 60
        assert len(near.asked) == before
        assert engine.status().state == "ready"  # it is in order, and will answer again


async def test_a_short_pause_is_waited_for(room: Path, near: Flawed) -> None:
    async with _started(room, _remote(near)) as engine:
        near.flaw, near.retry_after = "429", "1"
        before = len(near.asked)
        began = time.monotonic()
        task = asyncio.create_task(_text(engine))
        await _until(lambda: len(near.asked) > before)
        near.flaw = "none"
        assert "a" in await task
        assert time.monotonic() - began >= 0.9


async def test_a_date_to_come_again(room: Path, near: Flawed) -> None:
    async with _started(room, _remote(near)) as engine:
        near.flaw, near.retry_after = "429", formatdate(time.time() + 100, usegmt=True)
        with pytest.raises(ApiError) as heard:
            await _text(engine)
        assert 60 < heard.value.retry_after_s <= 100


async def test_the_breaker_opens_and_a_proof_closes_it(room: Path, near: Flawed) -> None:
    async with _started(
        room, _remote(near), breaker_failures=2, breaker_open_s=0.3, remote_attempts=1
    ) as engine:
        near.flaw = "500"
        for _ in range(2):
            assert engine.status().state == "ready"
            with pytest.raises(ApiError):
                await _text(engine)
        assert engine.status().state == "stalled"
        assert "`near` failed (500)" in engine.status().reason
        with pytest.raises(ApiError) as heard:
            await _text(engine)
        assert (heard.value.status, heard.value.code) == (503, "engine_unavailable")
        assert b'inferd_remote_up{remote="near"} 0' in await engine.metrics_text()
        before = len(near.asked)
        await _until(lambda: len(near.asked) > before)  # a proof, and no client's request
        assert engine.status().state == "stalled"
        near.flaw = "none"
        await _until(lambda: engine.status().state == "ready")
        assert "(500)" in engine.status().last_fault
        assert engine.status().reason == ""
        assert "a" in await _text(engine)
        text = await engine.metrics_text()
        assert b'{remote="near",outcome="provider_failed"} 2' in text
        assert b'{remote="near",outcome="ok"} 1' in text
        assert b'inferd_remote_up{remote="near"} 1' in text


async def test_what_it_does_not_know_is_no_fault_of_the_rest(room: Path, near: Flawed) -> None:
    """Whoever asks for embeddings where there are none must not close the door for others."""
    async with _started(
        room, _remote(near), breaker_failures=1, breaker_open_s=0.1, remote_attempts=1
    ) as engine:
        await asyncio.sleep(0.2)
        before = len(near.asked)
        with pytest.raises(ApiError) as heard:
            await engine.embed({"model": "m", "input": "x"})
        assert (heard.value.status, heard.value.code) == (502, "provider_model_unknown")
        await _until(lambda: len(near.asked) > before)  # it was asked for a proof
        assert engine.status().state == "ready"
        assert "a" in await _text(engine)
        await asyncio.sleep(0.2)
        near.flaw = "404"  # now the model is gone for good
        with pytest.raises(ApiError):
            await _text(engine)
        await _until(lambda: engine.status().state == "stalled")
        assert "does not know this model" in engine.status().reason


async def test_a_provider_that_goes_away_and_comes_back(room: Path) -> None:
    port = free_port()
    with Flawed(port=port) as server:
        engine = _engine(room, _remote(server), breaker_open_s=0.2, breaker_failures=1)
        await engine.start()
    with pytest.raises(ApiError) as heard:
        await _text(engine)
    assert (heard.value.status, heard.value.code) in (
        (503, "provider_unreachable"),
        (502, "provider_broke_off"),  # of a connection that was kept
    )
    assert engine.status().state == "stalled"
    with Flawed(port=port):
        await _until(lambda: engine.status().state == "ready")
        assert "a" in await _text(engine)
        await engine.stop(0.0)


async def test_leaving_ends_the_work_over_there(room: Path, near: Flawed) -> None:
    long = Ask("chat", {**CHAT.body, "max_tokens": 10_000})
    async with _started(room, _remote(near)) as engine:
        async with aclosing(engine.stream(long)) as batches:
            await anext(batches)
        await _until(lambda: near.gone == 1, 5)
        near.flaw = "hang"
        task = asyncio.create_task(_text(engine, long))
        before = len(near.asked)
        await _until(lambda: len(near.asked) > before)
        task.cancel()
        await _until(lambda: near.gone == 2, 5)


@pytest.mark.parametrize(
    ("flaw", "told"),
    [("401", "refused its key (401)"), ("403", "forbids it (403)"), ("500", "failed (500)")],
)
async def test_no_start_without_a_proof(room: Path, near: Flawed, flaw: Flaw, told: str) -> None:
    near.flaw = flaw
    engine = _engine(room, _remote(near))
    with pytest.raises(StartError) as refused:
        await engine.start()
    assert told in refused.value.detail
    assert KEY not in str(refused.value)
    assert refused.value.permanent is (flaw == "401")
    assert engine.status().state == "failed"
    await engine.stop(0.0)


async def test_a_model_that_has_no_answer_of_one_token(room: Path, near: Flawed) -> None:
    """It refuses the proof, but the provider lists it: so the key is good and it is there."""
    near.flaw = "400"
    async with _started(room, _remote(near)) as engine:
        near.flaw = "none"
        assert "a" in await _text(engine)


async def test_one_good_provider_is_enough_to_start(
    room: Path, near: Flawed, far: Flawed, caplog: pytest.LogCaptureFixture
) -> None:
    near.flaw = "401"
    async with _started(room, _remote(near), _remote(far, "far", tier=1)) as engine:
        assert "a" in await _text(engine)
    assert "`near` refused its key (401)" in caplog.text
    assert KEY not in caplog.text


async def test_certificates_are_verified(room: Path) -> None:
    certificate, context = self_signed(room)
    with Flawed(tls=context) as server:
        engine = _engine(room, _remote(server))
        with pytest.raises(StartError, match="cannot be reached"):
            await engine.start()
        await engine.stop(0.0)
        assert not server.headers  # the key has not gone out
        async with _started(room, _remote(server, ca_file=str(certificate))) as engine:
            assert "a" in await _text(engine)
    engine = _engine(room, _remote(server, ca_file="/no/such.pem"))
    with pytest.raises(StartError, match=r"/no/such\.pem"):
        await engine.start()
    await engine.stop(0.0)


async def test_the_key_shows_itself_nowhere(room: Path, near: Flawed) -> None:
    async with _started(room, _remote(near)) as engine:
        (provider,) = engine._providers
        shown = [vars(engine), vars(provider), vars(provider.upstream), provider.upstream.endpoint]
        assert "Secret(***)" in repr(shown)
        assert KEY not in repr(shown)


@pytest.mark.parametrize(
    ("key", "mode", "told"),
    [
        (KEY, 0o644, "can be read by others"),
        (KEY + "\n" + KEY, 0o600, "no HTTP header can carry"),
        ("", 0o600, "is empty"),
    ],
)
async def test_a_key_that_cannot_be_used(
    room: Path, near: Flawed, key: str, mode: int, told: str
) -> None:
    engine = _engine(room, _remote(near))
    (room / "key").write_text(key)
    (room / "key").chmod(mode)
    with pytest.raises(StartError) as refused:
        await engine.start()
    assert told in refused.value.detail
    assert KEY not in str(refused.value)
    assert not near.headers
    await engine.stop(0.0)


def test_a_provider_behind_the_daemon(room: Path, near: Flawed) -> None:
    """Its 401 is not the client's; /ready says so, and comes back by itself."""
    directory = room / "credentials"
    directory.mkdir()
    (directory / "key").write_text(KEY)
    (directory / "key").chmod(0o600)
    text = (
        '[model]\nname = "m"\n[engine]\nkind = "remote"\nbreaker_open_s = 0.5\n'
        f'[[engine.remotes]]\nname = "near"\nurl = "{near.url}"\ncredential = "key"\n'
        'model = "far"\n'
    )
    with daemon(room, text, more=("--credentials", str(directory))) as running:
        running.until_ready()
        url = running.url + "/v1/chat/completions"
        body = {"messages": [{"role": "user", "content": "hi"}]}
        answer = httpx.post(url, json=body).json()
        assert answer["choices"][0]["message"]["content"] == "aaa"
        assert answer["usage"]["total_tokens"] == 8
        assert "max_tokens" not in near.asked[-1]  # nobody asked for a limit
        near.flaw = "401"
        refused = httpx.post(url, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            502,
            "provider_key_refused",
        )
        ready = httpx.get(running.url + "/ready").json()
        assert ready["reason"] == "stalled"
        assert "refused its key (401)" in ready["detail"]
        near.flaw = "none"
        until(lambda: httpx.get(running.url + "/ready").status_code == 200, "ready again")
        assert httpx.post(url, json=body).status_code == 200
        assert running.status()["model_verified"] == "not-asked"
        assert running.stop() == 0
        for path in running.run_dir.rglob("*"):
            assert not path.is_file() or KEY.encode() not in path.read_bytes()
        assert KEY not in running.log + "".join(running.messages())
