"""`/ready` tells the truth: of an engine that is stopped, and of a model that is another one."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiconsole.onhost.inferd.engine.llama import LlamaEngine
from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.settings import EngineSettings, ModelSettings
from tests.contract.inferd.running import Running, daemon, settings_text, until

TEXT = "/v1/completions"
SHORT = {"prompt": "hi", "max_tokens": 2}
LONG = {"prompt": "hi", "max_tokens": 8000, "ignore_eos": True, "stream": True}


def _ready(running: Running) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(running.url + "/ready").json()
    return found


def _comes_back(running: Running, old_pid: int) -> None:
    """The stall shows, the engine is another one, and the reason stays to be read."""
    until(lambda: _ready(running)["reason"] == "stalled", "stalled")
    assert "the engine stalled: 1 at work and no token for" in _ready(running)["detail"]
    assert httpx.get(running.url + "/health").status_code == 200
    until(lambda: _ready(running)["ready"], "ready again")
    assert running.engine_pid() != old_pid
    assert httpx.post(running.url + TEXT, json=SHORT).status_code == 200
    status = running.status()
    assert status["engine_restarts"] == 1
    assert "the engine stalled" in status["engine_fault"]
    assert status["reason"] == ""


def test_an_engine_that_is_stopped_at_work(room: Path, slow_model: Path) -> None:
    with daemon(room, settings_text(slow_model, engine="stall_timeout_s = 1")) as running:
        running.until_ready()
        pid = running.engine_pid()
        last: list[str] = []

        def read() -> None:
            with httpx.stream("POST", running.url + TEXT, json=LONG, timeout=60) as stream:
                for line in stream.iter_lines():
                    last[:] = [line] if line else last

        reader = threading.Thread(target=read)
        reader.start()
        until(lambda: last, "a token")
        os.kill(pid, signal.SIGSTOP)
        _comes_back(running, pid)
        reader.join(30)
        assert "engine_unavailable" in last[0]
        assert running.stop() == 0


def test_an_engine_that_is_stopped_while_idle(room: Path, tiny_model: Path) -> None:
    engine = "stall_timeout_s = 1\nidle_proof_s = 0.5"
    with daemon(room, settings_text(tiny_model, engine=engine)) as running:
        running.until_ready()
        pid = running.engine_pid()
        os.kill(pid, signal.SIGSTOP)
        _comes_back(running, pid)
        assert running.tally_after_stop()["failed"] == 0


async def test_a_long_prompt_is_progress(
    room: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done of a prompt counts long before its first token, and no reader sees it."""
    settings = EngineSettings(batch_tokens=32, threads=1)
    engine = LlamaEngine(ModelSettings(name="m", path=str(tiny_model)), settings, room)
    await engine.start()
    moves = 0

    def count() -> None:
        nonlocal moves
        moves += 1

    monkeypatch.setattr(engine._progress, "moved", count)
    prompt = "a b " * 200
    ask = Ask("text", {"prompt": prompt, "max_tokens": 8}, size_bytes=len(prompt), stream=True)
    async with aclosing(engine.stream(ask)) as batches:
        first = await anext(batches)
        assert b'"text":"' in first[0].data
        assert b"prompt_progress" not in first[0].data
        assert moves > 5
    await engine.stop(1.0)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_is_verified_after_ready(room: Path, tiny_model: Path) -> None:
    more = f'sha256 = "{_digest(tiny_model)}"'
    with daemon(room, settings_text(tiny_model, more=more)) as running:
        running.until_ready()
        until(lambda: running.status()["model_verified"] == "good", "verified")
        assert _ready(running)["ready"]


def test_another_digest_makes_it_not_ready(room: Path, tiny_model: Path) -> None:
    wanted = "0" * 64
    with daemon(room, settings_text(tiny_model, more=f'sha256 = "{wanted}"')) as running:
        running.until_ready()
        until(lambda: running.status()["model_verified"] == "bad", "verified")
        told = _ready(running)
        assert (told["ready"], told["reason"]) == (False, "model_mismatch")
        assert f"has the sha256 {_digest(tiny_model)} instead of {wanted}" in told["detail"]
        assert told["detail"] in running.log
        assert any(told["detail"] in message for message in running.messages())
        assert httpx.get(running.url + "/health").status_code == 200
        assert running.tally_after_stop()["model_verified"] == "bad"


def test_a_model_without_a_digest_is_not_verified(shared: Running) -> None:
    assert shared.status()["model_verified"] == "not-asked"


@pytest.mark.parametrize(
    "header",
    [("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1"), ("Via", "1.1 nginx"),
     ("X-Real-IP", "::1")],
)  # fmt: skip
def test_metrics_are_free_for_direct_peers_only(
    client: httpx.Client, header: tuple[str, str]
) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", headers=[header]).status_code == 401
    assert client.get("/health", headers=[header]).status_code == 200
