"""Starts that fail, each with its reason, and the promises of a start that does not."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text, until
from tests.fixtures import tiny_gguf


def _fails(running: Running, *words: str, status: int = 78) -> None:
    assert running.wait() == status, running.log
    assert not running.said_ready
    told = running.messages()[-1]
    for word in words:
        assert word in running.log
        assert word in told
    assert "Traceback" not in running.log


def test_truncated(room: Path, tiny_model: Path) -> None:
    model = room / "cut.gguf"
    model.write_bytes(tiny_model.read_bytes()[:-1000])
    with daemon(room, settings_text(model)) as running:
        _fails(running, str(model), "truncated")
        assert running.tally["state"] == "failed"
        assert "truncated" in running.tally["reason"]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"PK\x03\x04" + b"\x00" * 500, "not a GGUF file"),
        (b"", "not a GGUF file"),
        (b"GGUF\x03\x00", "truncated"),
        (b"GGUF" + b"\x63\x00\x00\x00" + b"\x00" * 100, "version 99"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 100, "damaged"),
    ],
)
def test_not_a_model(room: Path, data: bytes, word: str) -> None:
    model = room / "model.gguf"
    model.write_bytes(data)
    with daemon(room, settings_text(model)) as running:
        _fails(running, word)


def test_missing(room: Path) -> None:
    with daemon(room, settings_text(room / "none.gguf")) as running:
        _fails(running, "No such file")


def test_another_size(room: Path, tiny_model: Path) -> None:
    with daemon(room, settings_text(tiny_model, more="size_bytes = 5")) as running:
        _fails(running, "instead of 5")


def test_unknown_architecture(room: Path) -> None:
    model = tiny_gguf.write(room / "new.gguf", architecture="nextgen")
    with daemon(room, settings_text(model)) as running:
        _fails(running, "does not know the architecture nextgen", status=1)


def test_damaged_weights_header(room: Path, tiny_model: Path) -> None:
    data = tiny_model.read_bytes()
    model = room / "damaged.gguf"
    model.write_bytes(data.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight"))
    with daemon(room, settings_text(model)) as running:
        _fails(running, "cannot be loaded", "blk.1.ffn_up.weight", status=1)


def test_settings_name_file_line_and_what_is_expected(room: Path, tiny_model: Path) -> None:
    text = settings_text(tiny_model, limits='running = "many"\nquue = 3')
    with daemon(room, text) as running:
        _fails(running, "settings.toml:8: limits.running: Input should be a valid integer",
               "settings.toml:9: limits.quue: not a known key")  # fmt: skip


def test_settings_that_are_no_toml(room: Path) -> None:
    with daemon(room, "[model\n") as running:
        _fails(running, "settings.toml", "line 1")


def test_a_layer_that_is_gone(room: Path, tiny_model: Path) -> None:
    with daemon(room, settings_text(tiny_model)) as running:
        running.until_ready()
        assert running.stop() == 0
    home = room / "releases" / "tiny-a"
    told = json.loads((home / "release.json").read_text())
    (home / "release.json").write_text(json.dumps({**told, "layers": ["/nowhere"]}))
    done = subprocess.run(
        [sys.executable, "-I", str(home / "launch.py")], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (
        78,
        "inferd: layer /nowhere is missing; deploy again\n",
    )


def test_the_port_is_taken(room: Path, tiny_model: Path) -> None:
    (room / "settings.toml").write_text(settings_text(tiny_model))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "aiconsole.onhost.inferd", "--settings", room / "settings.toml",
             "--run-dir", room / "run", "--listen", address],
            capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"{address}: Address already in use" in done.stderr


def test_ready_is_said_after_a_completion_and_nothing_is_accepted_before(
    room: Path, slow_model: Path
) -> None:
    with daemon(room, settings_text(slow_model)) as running:
        with httpx.Client(base_url=running.url, timeout=60) as client:
            # The socket listens already: the request waits in the kernel until the engine answers.
            answer = client.post("/v1/completions", json={"prompt": "hi", "max_tokens": 1})
        assert answer.status_code == 200
        until(lambda: running.said_ready, "ready")
        told = running.messages()
        assert any("proving it by a completion" in message for message in told)
        assert any("EXTEND_TIMEOUT_USEC=" in message for message in told)
        ready = next(i for i, message in enumerate(told) if "READY=1" in message)
        proof = next(i for i, message in enumerate(told) if "proving it" in message)
        assert proof < ready
        assert running.status()["load_s"] > 0
        private = room / "run-a" / "engine"
        assert private.stat().st_mode & 0o777 == 0o700
        assert (room / "run-a" / "admin.sock").stat().st_mode & 0o777 == 0o600
        assert running.stop() == 0
        assert any("STOPPING=1" in message for message in running.messages())
        assert not private.exists()


def _stuck_engine(room: Path) -> str:
    """An external engine that never answers."""
    binary = room / "llama-server"
    binary.write_text("#!/bin/sh\nexec sleep 600\n")
    binary.chmod(0o755)
    return f'binary = "{binary}"'


def test_told_to_stop_while_it_loads(room: Path, tiny_model: Path) -> None:
    with daemon(room, settings_text(tiny_model, engine=_stuck_engine(room))) as running:
        until(lambda: any("loading the model" in m for m in running.messages()), "loading")
        assert running.status()["state"] == "loading"
        child = running.engine_pid()
        assert running.stop(signal.SIGTERM) == 0
        assert not running.said_ready
        assert running.tally["state"] == "stopped"
        assert not Path(f"/proc/{child}").exists()


def test_an_engine_that_never_answers(room: Path, tiny_model: Path) -> None:
    engine = _stuck_engine(room) + "\nload_timeout_s = 0.5"
    with daemon(room, settings_text(tiny_model, engine=engine)) as running:
        _fails(running, "The engine did not load: not ready after 0 s", status=1)


def test_a_binary_that_is_not_there(room: Path, tiny_model: Path) -> None:
    engine = 'binary = "/nowhere/llama-server"'
    with daemon(room, settings_text(tiny_model, engine=engine)) as running:
        _fails(running, "/nowhere/llama-server", status=78)


def test_the_slot_may_be_pointed_elsewhere_while_it_runs(room: Path, tiny_model: Path) -> None:
    with daemon(room, settings_text(tiny_model)) as running:
        running.until_ready()
        link = room / "slots" / "a"
        link.unlink()
        link.symlink_to(room / "elsewhere")
        shutil.rmtree(room / "releases" / "tiny-a")
        answer = httpx.post(running.url + "/v1/completions", json={"prompt": "a", "max_tokens": 1})
        assert answer.status_code == 200
        assert running.status()["release_id"] == "tiny-a"
