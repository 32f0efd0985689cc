"""A server of somebody else's behind the daemon: it dies, hangs, fails to come up, comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiconsole.onhost.inferd.engine import command, port
from aiconsole.onhost.inferd.engine.command import CommandEngine
from aiconsole.onhost.inferd.engine.protocol import Ask
from aiconsole.onhost.inferd.settings import CommandSettings, EngineSettings, ModelSettings
from aiconsole.onhost.inferd.start_error import StartError
from tests.contract.inferd.running import Running, daemon, until
from tests.contract.inferd.servers import llama_program

TEXT = "/v1/completions"
SHORT = {"prompt": "hi", "max_tokens": 2}
LONG = {"prompt": "hi", "max_tokens": 8000, "ignore_eos": True, "stream": True}


def _settings(model: Path, argv: list[str], *, engine: str = "", command: str = "") -> str:
    return (
        f'[model]\nname = "m"\npath = "{model}"\n[engine]\nkind = "command"\nslots = 2\n{engine}\n'
        f"[engine.command]\nargv = {json.dumps(argv)}\n{command}\n"
    )


def _argv(room: Path, *more: str) -> list[str]:
    return [
        llama_program(room), "--model", "{model}", "--name", "{model_name}",
        "--port", "{port}", "--slots", "{slots}", *more,
    ]  # fmt: skip


def _server_pid(running: Running) -> int:
    """The child of the small process that minds it."""
    minder = running.engine_pid()
    (pid,) = Path(f"/proc/{minder}/task/{minder}/children").read_text().split()
    return int(pid)


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def _ready(running: Running) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(running.url + "/ready").json()
    return found


KEYED = 'key_variable = "ITS_KEY"'


def test_a_killed_server_is_started_again(room: Path, slow_model: Path) -> None:
    with daemon(room, _settings(slow_model, _argv(room), command=KEYED)) as running:
        running.until_ready()
        pid = _server_pid(running)
        with httpx.stream("POST", running.url + TEXT, json=LONG, timeout=60) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("data: {")
            os.kill(pid, signal.SIGKILL)
            last = [line for line in lines if line][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_unavailable"
        until(lambda: not _ready(running)["ready"], "not ready")
        assert "killed (SIGKILL)" in _ready(running)["detail"]
        until(lambda: _ready(running)["ready"], "ready again")
        assert _server_pid(running) != pid
        assert httpx.post(running.url + TEXT, json=SHORT).status_code == 200
        assert running.status()["engine_restarts"] == 1
        assert running.stop() == 0


def test_a_stopped_server_is_found_and_started_again(room: Path, tiny_model: Path) -> None:
    engine = "stall_timeout_s = 1\nidle_proof_s = 0.5"
    with daemon(room, _settings(tiny_model, _argv(room), engine=engine)) as running:
        running.until_ready()
        pid = _server_pid(running)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: _ready(running)["reason"] == "stalled", "stalled")
        until(lambda: _ready(running)["ready"], "ready again")
        assert _gone(pid)
        assert "the engine stalled" in running.status()["engine_fault"]


def test_nothing_of_it_outlives_a_killed_daemon(room: Path, tiny_model: Path) -> None:
    argv = _argv(room, "--helper", str(room / "helper"))
    with daemon(room, _settings(tiny_model, argv)) as running:
        running.until_ready()
        pids = [_server_pid(running), int((room / "helper").read_text())]
        assert not any(map(_gone, pids))
        running.process.kill()
        running.wait()
        until(lambda: all(map(_gone, pids)), "the end of the server and of what it started", 20)


def test_a_killed_server_leaves_no_process_of_its_own(room: Path, tiny_model: Path) -> None:
    argv = _argv(room, "--helper", str(room / "helper"))
    with daemon(room, _settings(tiny_model, argv)) as running:
        running.until_ready()
        helper = int((room / "helper").read_text())
        os.kill(_server_pid(running), signal.SIGKILL)
        until(lambda: _gone(helper), "the end of what it started")
        until(lambda: _ready(running)["ready"], "ready again")
        assert int((room / "helper").read_text()) != helper
        last = int((room / "helper").read_text())
        assert running.stop() == 0
        assert _gone(last)


def test_a_server_dies_with_whoever_minds_it(room: Path, tiny_model: Path) -> None:
    with daemon(room, _settings(tiny_model, _argv(room))) as running:
        running.until_ready()
        minder, server = running.engine_pid(), _server_pid(running)
        os.kill(minder, signal.SIGKILL)
        until(lambda: _gone(server), "the server's end")
        until(lambda: _ready(running)["ready"] and running.engine_pid() != minder, "ready again")
        assert running.stop() == 0


def test_a_signal_to_the_group_lets_it_finish_first(room: Path, slow_model: Path) -> None:
    with daemon(room, _settings(slow_model, _argv(room))) as running:
        running.until_ready()
        body = {**LONG, "max_tokens": 300}
        with httpx.stream("POST", running.url + TEXT, json=body, timeout=60) as stream:
            lines = stream.iter_lines()
            next(lines)
            minder = running.engine_pid()
            assert os.getpgid(_server_pid(running)) != os.getpgid(running.process.pid)
            os.kill(minder, signal.SIGTERM)
            running.process.send_signal(signal.SIGTERM)
            assert [line for line in lines if line][-1] == "data: [DONE]"
        assert running.wait() == 0
        assert running.tally["failed"] == 0


def test_its_key_is_in_its_environment_alone(room: Path, tiny_model: Path) -> None:
    with daemon(room, _settings(tiny_model, _argv(room), command=KEYED)) as running:
        running.until_ready()
        server, minder = _server_pid(running), running.engine_pid()
        environment = Path(f"/proc/{server}/environ").read_bytes().split(b"\0")
        (key,) = [
            entry.partition(b"=")[2] for entry in environment if entry.startswith(b"ITS_KEY=")
        ]
        assert len(key) > 30
        for pid in (running.process.pid, minder):
            assert key not in Path(f"/proc/{pid}/environ").read_bytes()
        for pid in (running.process.pid, minder, server):
            assert key not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert running.stop() == 0
        assert key.decode() not in running.log


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["/no/such/program", "{port}"], "/no/such/program is missing or not executable"),
        (["/bin/sh", "-c", "echo no room on the GPU >&2; exit 3", "{port}"],
         "exit status 3: no room on the GPU"),
        (["/bin/sh", "-c", "echo told on stdout; exit 1", "{port}"], "told on stdout"),
        (["/bin/sh", "-c", "kill -SEGV $$", "{port}"], "crashed (SIGSEGV)"),
    ],
)  # fmt: skip
async def test_why_it_does_not_come_up(argv: list[str], reason: str, room: Path) -> None:
    settings = EngineSettings(kind="command", command=CommandSettings(argv=argv))
    engine = CommandEngine(ModelSettings(name="m"), settings, room)
    with pytest.raises(StartError) as failed:
        await engine.start()
    assert reason in str(failed.value)
    assert engine.status().state == "failed"
    assert reason in engine.status().reason
    await engine.stop(0.0)


async def test_a_port_that_somebody_else_was_faster_to_take(
    room: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports = [other.getsockname()[1], port.free_port()]
        monkeypatch.setattr(command, "free_port", lambda: ports.pop(0))
        argv = _argv(room)
        settings = EngineSettings(kind="command", command=CommandSettings(argv=argv))
        model = ModelSettings(name="m", path=str(tiny_model))
        engine = CommandEngine(model, settings, room)
        await engine.start()
        assert not ports
        ask = Ask("text", {"model": "m", "prompt": "hi", "max_tokens": 2})
        assert [batch async for batch in engine.stream(ask)]
        await engine.stop(1.0)


async def test_a_server_that_is_open_to_the_network_without_a_key(
    room: Path, tiny_model: Path
) -> None:
    argv = _argv(room, "--host", "0.0.0.0")
    settings = EngineSettings(kind="command", command=CommandSettings(argv=argv))
    engine = CommandEngine(ModelSettings(name="m", path=str(tiny_model)), settings, room)
    with pytest.raises(StartError, match="open to the network") as refused:
        await engine.start()
    assert "--host 127.0.0.1" in refused.value.hint
    await engine.stop(0.0)
    keyed = settings.model_copy(
        update={"command": CommandSettings(argv=argv, key_variable="ITS_KEY")}
    )
    engine = CommandEngine(ModelSettings(name="m", path=str(tiny_model)), keyed, room)
    await engine.start()
    await engine.stop(1.0)


async def test_one_that_does_not_heed_the_signal_is_killed_after_its_grace(room: Path) -> None:
    script = room / "deaf"
    script.write_text(
        "#!/usr/bin/env python3\n"
        "import http.server, json, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200 if self.path == '/health' else 404); self.end_headers()\n"
        "    def do_POST(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        "        end = {'choices': [{'index': 0, 'text': 'a', 'finish_reason': 'stop'}]}\n"
        "        self.wfile.write(b'data: ' + json.dumps(end).encode() + b'\\n\\n')\n"
        "        self.wfile.write(b'data: [DONE]\\n\\n')\n"
        "address = '127.0.0.1', int(sys.argv[1])\n"
        "http.server.ThreadingHTTPServer(address, Handler).serve_forever()\n"
    )
    script.chmod(0o755)
    deaf = CommandSettings(argv=[str(script), "{port}"], stop_grace_s=0.5)
    engine = CommandEngine(
        ModelSettings(name="m"), EngineSettings(kind="command", command=deaf), room
    )
    await engine.start()
    pid = engine.status().pid
    assert await engine.metrics_text() == b""  # it has no page of them
    began = time.monotonic()
    await engine.stop(0.1)
    assert time.monotonic() - began >= 0.5
    assert _gone(pid)


LITELLM = """
model_list:
  - model_name: mocked
    litellm_params: {model: openai/any, api_key: none, mock_response: "The mock says hello."}
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("litellm"), reason="needs LiteLLM's proxy (`litellm`)")
def test_litellm(room: Path) -> None:
    """A server that speaks the same API in another accent."""
    (room / "litellm.yaml").write_text(LITELLM)
    argv = [
        str(shutil.which("litellm")), "--config", str(room / "litellm.yaml"),
        "--host", "127.0.0.1", "--port", "{port}",
    ]  # fmt: skip
    more = (
        'key_variable = "LITELLM_MASTER_KEY"\nhealth_path = "/health/liveliness"\n'
        f'[engine.command.environment]\nHOME = "{room}"\nLITELLM_LOCAL_MODEL_COST_MAP = "True"\n'
    )
    text = _settings(Path(), argv, command=more).replace('name = "m"', 'name = "mocked"')
    with daemon(room, text.replace('path = "."', "")) as running:
        until(lambda: running.said_ready or running.process.poll() is not None, "ready", 150)
        assert running.said_ready, running.log
        chat = {"messages": [{"role": "user", "content": "hi"}]}
        answer = httpx.post(running.url + "/v1/chat/completions", json=chat, timeout=60).json()
        assert answer["choices"][0]["message"]["content"] == "The mock says hello."
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert answer["usage"]["completion_tokens"] > 3
        text = httpx.post(running.url + TEXT, json={"prompt": "hi"}, timeout=60).json()
        assert text["choices"][0]["text"] == "The mock says hello."
        assert text["usage"]["completion_tokens"] > 3
        server = _server_pid(running)
        os.kill(server, signal.SIGKILL)
        until(lambda: not _ready(running)["ready"], "not ready")
        until(lambda: _ready(running)["ready"], "ready again", 150)
        assert running.stop() == 0
        assert _gone(server)
