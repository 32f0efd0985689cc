"""Servers behind the daemon: llama.cpp's own on a port or a socket, and one that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import httpx
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aiconsole.onhost.inferd.engine.port import free_port
from tests.contract.inferd.running import until

LLAMA = """#!{python} -I
import sys
sys.path[:] = {path!r}
import argparse, os, subprocess, threading
parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--name", required=True)
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--slots", type=int, default=1)
parser.add_argument("--helper", default="", help="file for the pid of a process of its own")
given = parser.parse_args()
if given.helper:
    helper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with open(given.helper, "w") as file:
        file.write(str(helper.pid))
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = given.model
params.model_alias = {{given.name}}
params.hostnames = [given.host]
if given.port:
    params.port = given.port
if "ITS_KEY" in os.environ:
    params.api_keys = [os.environ["ITS_KEY"]]
params.endpoint_metrics = params.embedding = True
params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
params.n_parallel, params.n_ctx, params.kv_unified = given.slots, 8192, True
params.n_batch = params.n_ubatch = 256
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
threading.Event().wait()
"""

Flaw: TypeAlias = Literal[
    "none", "cut-before", "cut-after", "hang", "garbage", "packed", "redirect",
    "400", "401", "403", "404", "429", "500", "503",
]  # fmt: skip


def llama_program(room: Path) -> str:
    """llama.cpp's own HTTP server as a program of somebody else's."""
    program = room / "llama-http"
    path = [entry for entry in sys.path if entry.startswith("/")]
    program.write_text(LLAMA.format(python=sys.executable, path=path))
    program.chmod(0o755)
    return str(program)


@contextlib.contextmanager
def llama_at_port(room: Path, model: Path, key: str, *, name: str = "m") -> Iterator[str]:
    """llama.cpp's HTTP server, running; the base of its API."""
    port = free_port()
    process = subprocess.Popen(
        [llama_program(room), "--model", str(model), "--name", name, "--port", str(port)],
        env={"PATH": os.environ["PATH"], "ITS_KEY": key},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _is_up(url), "llama.cpp's server")
        yield url + "/v1"
    finally:
        process.kill()
        process.wait()


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url + "/health").status_code == 200
    except httpx.TransportError:
        return False


def self_signed(room: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate that nobody but who has it trusts, and what a server needs to show it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = room / "cert.pem", room / "cert.key"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return path, context


class Flawed:
    """A provider over real TCP whose flaw a test chooses while it runs."""

    def __init__(
        self,
        *,
        model: str = "far",
        key: str = "k-123",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.flaw: Flaw = "none"
        self.retry_after = ""
        self.usage_refused = False
        self.model = model
        self.key = key
        self.port = port
        self._tls = tls
        self.asked: list[dict[str, Any]] = []
        """Bodies of the completions, in their order."""
        self.headers: list[dict[str, str]] = []
        self.gone = 0
        """Clients that left before their answer was whole."""
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Flawed:
        self._thread.start()
        assert self._up.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self._tls)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._up.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _models(self, request: web.Request) -> web.Response:
        if self.flaw not in ("none", "400"):
            return self._error(500, "flawed")
        return web.json_response({"data": [{"id": self.model}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return self._error(401, f"Incorrect API key provided: {request.headers}")
        if self.usage_refused and "stream_options" in body:
            return self._error(400, "Unknown parameter: stream_options")
        if self.flaw.isdigit():
            return self._error(int(self.flaw), f"it is {self.flaw}, key {self.key}")
        if self.flaw == "redirect":
            raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/elsewhere")
        try:
            if self.flaw == "hang":
                await asyncio.sleep(600)
            return await self._answer(request, body)
        except (asyncio.CancelledError, ConnectionResetError):
            self.gone += 1
            raise

    async def _answer(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        assert request.transport is not None
        if self.flaw == "cut-before":
            request.transport.abort()
            return web.Response()
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if self.flaw == "packed":
            answer.headers["Content-Encoding"] = "gzip"
        await answer.prepare(request)
        if self.flaw == "garbage":
            await answer.write(b"data: {nonsense\n\n")
        tokens = body.get("max_tokens") or body.get("max_completion_tokens") or 3
        for _ in range(tokens):
            await answer.write(_event({"choices": [{"index": 0, "finish_reason": None,
                                       "text": "a", "delta": {"content": "a"}}]}))  # fmt: skip
            if self.flaw == "cut-after":
                await asyncio.sleep(0.1)
                request.transport.abort()
                return answer
            await asyncio.sleep(0.005)
        end = {"index": 0, "finish_reason": "stop", "text": "", "delta": {}}
        await answer.write(_event({"choices": [end]}))
        if "stream_options" in body:
            usage = {"prompt_tokens": 5, "completion_tokens": tokens}
            await answer.write(_event({"choices": [], "usage": usage}))
        await answer.write(b"data: [DONE]\n\n")
        return answer

    def _error(self, status: int, message: str) -> web.Response:
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.json_response({"error": {"message": message}}, status=status, headers=headers)


def _event(fields: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\r\n\r\n"
