"""The engine dies, hangs on to nothing, and comes back; the daemon dies, and the engine with it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text, until

TEXT = "/v1/completions"
LONG = {"prompt": "hi", "max_tokens": 8000, "ignore_eos": True, "stream": True}
SHORT = {"prompt": "hi", "max_tokens": 2}


def _ready_code(running: Running) -> int:
    return httpx.get(running.url + "/ready").status_code


def test_killed_engine(room: Path, slow_model: Path) -> None:
    with daemon(room, settings_text(slow_model)) as running:
        running.until_ready()
        pid = running.engine_pid()
        with httpx.stream("POST", running.url + TEXT, json=LONG, timeout=60) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("data: {")
            os.kill(pid, signal.SIGKILL)
            last = [line for line in lines if line][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_unavailable"

        until(lambda: _ready_code(running) == 503, "not ready")
        reason = httpx.get(running.url + "/ready").json()
        assert reason["reason"] in ("engine_restarting", "engine_loading")
        assert "killed (SIGKILL)" in reason["detail"]
        refused = httpx.post(running.url + TEXT, json=SHORT)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert httpx.get(running.url + "/health").status_code == 200

        until(lambda: _ready_code(running) == 200, "ready again")
        assert running.engine_pid() != pid
        assert httpx.post(running.url + TEXT, json=SHORT).status_code == 200
        assert "inferd_engine_restarts_total 1.0" in httpx.get(running.url + "/metrics").text
        assert running.status()["failed"] == 2
        assert running.stop() == 0


def test_killed_daemon_takes_its_engine_along(room: Path, tiny_model: Path) -> None:
    with daemon(room, settings_text(tiny_model)) as running:
        running.until_ready()
        child = Path(f"/proc/{running.engine_pid()}")
        running.process.kill()
        running.wait()
        until(lambda: not child.exists() or "Z" in _state(child), "the engine's end", 5)


def test_the_group_signal_does_not_end_the_engine_early(room: Path, slow_model: Path) -> None:
    with daemon(room, settings_text(slow_model)) as running:
        running.until_ready()
        body = {**LONG, "max_tokens": 300}
        with httpx.stream("POST", running.url + TEXT, json=body, timeout=60) as stream:
            lines = stream.iter_lines()
            next(lines)
            os.kill(running.engine_pid(), signal.SIGTERM)
            running.process.send_signal(signal.SIGTERM)
            assert [line for line in lines if line][-1] == "data: [DONE]"
        assert running.wait() == 0
        assert running.tally["failed"] == 0


def test_a_gone_client_frees_the_only_slot(room: Path, slow_model: Path) -> None:
    text = settings_text(slow_model, engine="slots = 1", limits="running = 1")
    with daemon(room, text) as running:
        running.until_ready()
        for stream in (True, False):
            body = {**LONG, "stream": stream}
            with httpx.Client(base_url=running.url, timeout=60) as gone:
                if stream:
                    with gone.stream("POST", TEXT, json=body) as answer:
                        next(answer.iter_lines())
                else:
                    with pytest.raises(httpx.ReadTimeout):
                        gone.post(TEXT, json=body, timeout=0.5)
            # The whole answer would take over 20 s; the next request has the slot at once.
            next_one = httpx.post(running.url + TEXT, json=SHORT, timeout=5)
            assert next_one.status_code == 200
        assert running.stop() == 0
        codes = [line["code"] for line in running.audit]
        assert codes == [499, 200, 499, 200]
        assert running.tally["failed"] == 0


EXTERNAL = """#!{python} -I
import sys
sys.path[:] = {path!r}
import argparse, os, threading, xllamacpp
parser = argparse.ArgumentParser()
for name in ("model", "alias", "host", "api-key-file", "ctx-size", "parallel", "threads",
             "threads-batch", "batch-size", "ubatch-size", "threads-http", "cache-ram", "pooling"):
    parser.add_argument("--" + name, required=True)
for name in ("kv-unified", "no-webui", "no-slots", "metrics", "jinja", "embeddings"):
    parser.add_argument("--" + name, action="store_true", required=True)
given = parser.parse_args()
params = xllamacpp.CommonParams()
params.model.path = given.model
params.model_alias = {{given.alias}}
params.hostnames = [given.host]
params.api_keys = [open(given.api_key_file).read()]
params.endpoint_metrics = params.embedding = True
params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
params.n_parallel, params.n_ctx = int(given.parallel), int(given.ctx_size)
server = xllamacpp.Server(params)
threading.Event().wait()
"""


def external_binary(room: Path) -> str:
    """A program with llama-server's command line, on the real engine."""
    binary = room / "llama-server"
    path = [entry for entry in sys.path if entry.startswith("/")]
    binary.write_text(EXTERNAL.format(python=sys.executable, path=path))
    binary.chmod(0o755)
    return str(binary)


def test_an_external_binary(room: Path, tiny_model: Path) -> None:
    binary = external_binary(room)
    with daemon(room, settings_text(tiny_model, engine=f'binary = "{binary}"')) as running:
        running.until_ready()
        key_file = room / "run-a" / "engine" / "key"
        assert key_file.stat().st_mode & 0o777 == 0o600
        key = key_file.read_text()
        child = running.engine_pid()
        for name in ("cmdline", "environ"):
            assert key.encode() not in Path(f"/proc/{child}/{name}").read_bytes()
        assert httpx.post(running.url + TEXT, json=SHORT).status_code == 200
        assert running.stop() == 0
        assert not Path(f"/proc/{child}").exists()


def _state(process: Path) -> str:
    try:
        return process.joinpath("stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"
