"""The process that computes: llama.cpp's own HTTP server on a private UNIX socket.

It gets one line of JSON on stdin, its spec with the key in it, and ends when stdin does: however
the daemon dies, this process does not outlive it. What it prints on stderr is the reason of a
failed load. It runs as `python -I -c ...`, or turns into an external llama-server.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass

_PR_SET_PDEATHSIG = 1
_QUIET = 1  # of llama.cpp's verbosity: errors only; one line for each request is too much
_SLEEP_S = 3600.0


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """All that the process needs to know."""

    model_path: str
    model_name: str
    socket_path: str
    api_key: str
    """Of the private socket; comes by stdin and is never in argv or the environment."""
    api_key_file: str
    """The same in a 0600 file, for an external binary; empty for the built-in engine."""
    binary: str
    pool_tokens: int
    """Context of all slots together."""
    slots: int
    threads: int
    batch_tokens: int
    cache_ram_mib: int
    http_threads: int
    parent_pid: int

    def as_line(self) -> bytes:
        """The spec as it goes through the pipe."""
        return json.dumps(asdict(self)).encode() + b"\n"


def main() -> None:
    """Read the spec, serve until stdin ends."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # A service manager signals the whole group; the daemon decides when we may go.
        signal.signal(number, signal.SIG_IGN)
    spec = WorkerSpec(**json.loads(sys.stdin.buffer.readline()))
    _die_with_parent(spec.parent_pid)
    if spec.binary:
        os.execv(spec.binary, binary_argv(spec))  # noqa: S606 - argv list, no shell
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    _serve(spec)


def binary_argv(spec: WorkerSpec) -> list[str]:
    """Command line of an external llama-server that serves the same."""
    return [
        spec.binary, "--model", spec.model_path, "--alias", spec.model_name,
        "--host", spec.socket_path, "--api-key-file", spec.api_key_file,
        "--ctx-size", str(spec.pool_tokens), "--parallel", str(spec.slots), "--kv-unified",
        "--threads", str(spec.threads), "--threads-batch", str(spec.threads),
        "--batch-size", str(spec.batch_tokens), "--ubatch-size", str(spec.batch_tokens),
        "--threads-http", str(spec.http_threads), "--cache-ram", str(spec.cache_ram_mib),
        "--no-webui", "--no-slots", "--metrics", "--jinja",
        "--embeddings", "--pooling", "mean",
    ]  # fmt: skip


def _serve(spec: WorkerSpec) -> None:
    import xllamacpp  # only this process may load it: an abort in it takes nobody along

    params = xllamacpp.CommonParams()
    params.verbosity = _QUIET
    params.model.path = spec.model_path
    params.model_alias = {spec.model_name}
    params.hostnames = [spec.socket_path]
    params.api_keys = [spec.api_key]
    params.ui = False
    params.cors_origins = "localhost"
    params.cors_credentials = False
    params.endpoint_slots = False
    params.endpoint_metrics = True
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_ctx = spec.pool_tokens
    params.n_parallel = spec.slots
    params.kv_unified = True
    params.n_batch = params.n_ubatch = spec.batch_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = spec.threads
    params.n_threads_http = spec.http_threads
    params.cache_ram_mib = spec.cache_ram_mib
    params.warmup = True
    server = xllamacpp.Server(params)  # returns when the model is loaded and it listens
    while server is not None:
        threading.Event().wait(_SLEEP_S)


def _end_with_stdin() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    # The server's destructor can hang; the kernel gives everything back anyway.
    os._exit(0)


def _die_with_parent(parent_pid: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(0)  # it died before the line above
