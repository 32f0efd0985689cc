"""The servers that are measured beside each other, each a process of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiconsole

BUILT_IN = Path(aiconsole.__file__).parent / "bundle" / "models" / "builtin.gguf"
SLOTS = 8
THREADS = 1

_NATIVE = """
import sys, threading, xllamacpp
p = xllamacpp.CommonParams()
p.verbosity = 1
p.model.path = sys.argv[1]; p.hostnames = ["127.0.0.1"]; p.port = int(sys.argv[2]); p.ui = False
p.model_alias = {"bench"}
p.api_keys = ["k"]; p.n_parallel = int(sys.argv[3]); p.n_ctx = 2048 * p.n_parallel
p.kv_unified = True
p.n_batch = p.n_ubatch = 256
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = int(sys.argv[4])
server = xllamacpp.Server(p)
threading.Event().wait()
"""


def model() -> Path:
    """The built-in one, or the one that BENCH_MODEL names."""
    return Path(os.environ.get("BENCH_MODEL") or BUILT_IN)


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running(argv: Sequence[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives as long as the context."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    process = subprocess.Popen(list(argv), **quiet)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def native_argv(port: int) -> list[str]:
    """llama.cpp's own HTTP server."""
    return [sys.executable, "-c", _NATIVE, str(model()), str(port), str(SLOTS), str(THREADS)]


def settings(room: Path, more: str = "") -> Path:
    """Settings with everything on: keys, rates, quotas, audit file; the key is `k`."""
    entry = {
        "id": "b",
        "label": "bench",
        "sha256": hashlib.sha256(b"k").hexdigest(),
        "created_unix_s": 0,
        "requests_per_minute": 60_000_000,
        "tokens_per_minute": 1_000_000_000,
    }
    (room / "keys.json").write_text(json.dumps({"keys": [entry]}))
    path = room / "settings.toml"
    path.write_text(
        f'[model]\nname = "bench"\npath = "{model()}"\n'
        f"[engine]\nslots = {SLOTS}\nthreads = {THREADS}\ncontext_tokens = 2048\n"
        f"[limits]\nrequests_per_minute = 60_000_000\n"
        f'[auth]\nrequired = true\nkeys_file = "{room}/keys.json"\n'
        f'[audit]\npath = "{room}/audit.jsonl"\n{more}'
    )
    return path


def inferd_argv(room: Path, port: int, module: str = "aiconsole.onhost.inferd") -> list[str]:
    """The daemon; `module` may be one that starts it with another engine."""
    return [
        sys.executable, "-m", module, "--settings", str(room / "settings.toml"),
        "--run-dir", str(room), "--listen", f"127.0.0.1:{port}",
    ]  # fmt: skip


def litellm() -> Path:
    """The peer's program, installed once into a cache of its own."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "aiconsole-bench"
    program = home / "litellm" / "bin" / "litellm"
    if not program.exists():
        import uv

        finder = uv.find_uv_bin()
        shutil.rmtree(home / "litellm", ignore_errors=True)
        subprocess.run([finder, "venv", "-q", str(home / "litellm")], check=True)
        python = str(home / "litellm" / "bin" / "python")
        subprocess.run([finder, "pip", "install", "-q", "-p", python, "litellm[proxy]"], check=True)
    return program


def litellm_argv(room: Path, port: int, upstream_port: int) -> list[str]:
    """LiteLLM's proxy in front of an OpenAI-compatible server, with a key as we have one."""
    config = room / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: bench\n    litellm_params:\n      model: openai/bench\n"
        f"      api_base: http://127.0.0.1:{upstream_port}/v1\n      api_key: k\n"
        "general_settings:\n  master_key: sk-bench\n"
        "litellm_settings:\n  num_retries: 0\n  telemetry: false\n"
    )
    return [
        str(litellm()), "--config", str(config), "--host", "127.0.0.1", "--port", str(port),
        "--telemetry", "False",
    ]  # fmt: skip
