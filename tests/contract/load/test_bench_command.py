"""`aiconsole bench` as an operator runs it: against inferd, and against what misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import ssl
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyte
import pytest
from aiohttp import web

from aiconsole.load.compare import read_report
from tests.contract.inferd.running import Running, daemon, settings_text
from tests.contract.load import server
from tests.contract.load.server import service

KEY = "ak-bench-key"
LIMIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Ended:
    exit_code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        assert self.out, self.err
        found: dict[str, Any] = json.loads(self.out)
        return found


def environment(home: Path, **variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **variables}


async def bench(home: Path, *argv: str, **variables: str) -> Ended:
    """Run the command to its end, without a terminal."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aiconsole", "bench", *argv, env=environment(home, **variables),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
async def test_inferd_under_load(
    shared: Running,
    tmp_path: Path,
    endpoint: str,
    stream: str,
) -> None:
    ended = await bench(
        tmp_path, shared.url, "--endpoint", endpoint, stream, "--requests", "20", "--clients", "4",
        "--max-tokens", "8", "--json",
    )  # fmt: skip
    report = ended.report
    assert ended.exit_code in (0, 1), ended.err
    assert report["requests"] == {
        "sent": 20, "answered": 20, "failed": 0, "unfinished": 0, "not_sent": 0,
    }  # fmt: skip
    assert report["kind"]["model"] == "tiny"
    assert report["rates"]["tokens_counted_by"] == "usage of the server"
    length_s, rates = report["measured_s"], report["rates"]
    # The model never ends by itself: each answer has all its tokens.
    assert rates["tokens_out_per_s"] * length_s == pytest.approx(160, rel=0.02)
    assert rates["requests_per_s"] * length_s == pytest.approx(20, rel=0.02)
    assert (report["first_token_s"] is not None) is (stream == "--stream")
    assert shared.url in ended.err


async def test_a_key_where_it_is_wanted(tiny_model: Path, room: Path, tmp_path: Path) -> None:
    entry = {"id": "b", "label": "bench", "sha256": sha256(KEY.encode()).hexdigest(),
             "created_unix_s": 0}  # fmt: skip
    (room / "keys.json").write_text(json.dumps({"keys": [entry]}))
    auth = f'required = true\nkeys_file = "{room}/keys.json"'
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    with daemon(room, settings_text(tiny_model, auth=auth)) as running:
        running.until_ready()
        argv = (running.url, "--requests", "4", "--max-tokens", "4", "--json")
        ended = await bench(tmp_path, *argv)
        assert (ended.exit_code, ended.report["error"]) == (2, "LoginError")
        assert "--key-file" in ended.report["hint"]
        ended = await bench(tmp_path, *argv, "--key-file", str(key_file))
        assert ended.report["requests"]["answered"] == 4
        ended = await bench(tmp_path, *argv, AICONSOLE_BENCH_KEY=KEY)
        assert ended.report["requests"]["answered"] == 4
        assert KEY not in ended.out + ended.err
        ended = await bench(tmp_path, *argv, AICONSOLE_BENCH_KEY="wrong")
        assert "does not accept the key" in ended.report["title"]


async def test_a_run_is_saved_and_compared(tmp_path: Path) -> None:
    one = str(tmp_path / "one.json")
    async with service() as found:
        argv = (found.url, "--requests", "20")
        assert (await bench(tmp_path, *argv, "--save", one)).exit_code in (0, 1)
        saved = read_report(tmp_path / "one.json")
        ended = await bench(tmp_path, *argv, "--compare", one, "--json")
        lines = {line["name"]: line for line in ended.report["comparison"]["lines"]}
        assert ended.report["comparison"]["differences"] == []
        assert lines["failed share"]["verdict"] == "same"
        assert lines["requests/s"]["before"] == saved["rates"]["requests_per_s"]
        ended = await bench(tmp_path, *argv, "--compare", one, "--no-stream")
        assert "! stream: yes before, no now" in ended.out
        assert "loads of different kinds" in ended.out
        assert "better" not in ended.out


async def test_failures_are_listed_with_hostile_text_made_visible(tmp_path: Path) -> None:
    async with service() as found:
        turns = [server.answer, server.error_stream] * 20

        async def mixed(request: web.BaseRequest) -> web.StreamResponse:
            return await turns.pop()(request)

        found.handler = mixed
        ended = await bench(tmp_path, found.url, "--requests", "10")
    assert ended.exit_code == 1
    assert "5 answered, 5 failed" in ended.out
    assert "5  error event\n" in ended.out
    assert r"engine \x1b[2J gone" in ended.out
    assert "\x1b" not in ended.out + ended.err


async def test_a_server_that_only_fails_is_measured_and_ends_with_2(tmp_path: Path) -> None:
    async with service() as found:
        found.handler = server.status(503, "full", {"Retry-After": "2"})
        ended = await bench(tmp_path, found.url, "--requests", "10", "--json")
    assert ended.exit_code == 2
    assert ended.report["failures"] == [
        {"kind": "HTTP 503, told to wait", "count": 10, "example": "Retry-After: 2; full"}
    ]


async def test_a_load_that_could_only_be_refused_is_not_sent(tmp_path: Path) -> None:
    async with service() as found:
        found.handler = server.status(404, "no such model")
        ended = await bench(tmp_path, found.url, "--model", "x", "--json")
        assert (ended.exit_code, ended.report["error"]) == (2, "CommandError")
        assert "no such model" in ended.report["detail"]
        assert len(found.bodies) == 1

        found.models = server.status(404)
        ended = await bench(tmp_path, found.url, "--json")
        assert ended.report["error"] == "NotFoundError"


WRONG = {
    "no URL": (["ftp://x"], "not the URL of a service"),
    "no such host": (["nowhere"], "nowhere"),
    "nobody there": (["http://127.0.0.1:9"], "cannot be reached"),
    "no such prompts": (["http://127.0.0.1:9", "--prompts", "/none"], "cannot be read"),
    "no such report": (["http://127.0.0.1:9", "--compare", "/none"], "no report of a load"),
    "no such key": (["http://127.0.0.1:9", "--key-file", "/none"], "key cannot be read"),
    "no such authority": (["http://127.0.0.1:9", "--ca-file", "/none"], "file of authorities"),
    "too many processes": (["http://127.0.0.1:9", "--processes", "9"], "nothing to share"),
    "two paces": (["http://x", "--rate", "1", "--clients", "1"], "either --rate or --clients"),
    "no time": (["http://x", "--duration", "soon"], "is no time"),
    "no length": (["http://x", "--duration", "0s"], "longer than nothing"),
    "no patience": (["http://x", "--timeout", "0"], "longer than nothing"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_bad_input_is_told(tmp_path: Path, name: str) -> None:
    argv, said = WRONG[name]
    ended = await bench(tmp_path, *argv)
    assert ended.exit_code == 2
    assert said in " ".join(ended.err.replace("│", " ").split())
    assert "Traceback" not in ended.err


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate that its own file alone vouches for, and its key."""
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(private),
         "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, private


async def test_certificates_are_checked(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    runner = web.ServerRunner(web.Server(_over_tls), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://localhost:{runner.addresses[0][1]}"
    try:
        refused = await bench(tmp_path, url, "--requests", "4", "--json")
        assert (refused.exit_code, refused.report["error"]) == (2, "UnreachableError")
        assert "--ca-file" in refused.report["hint"]
        trusted = await bench(
            tmp_path, url, "--requests", "4", "--json", "--ca-file", str(certificate[0])
        )
        assert trusted.report["requests"]["answered"] == 4, trusted.err
    finally:
        await runner.cleanup()


async def _over_tls(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "GET":
        return web.json_response({"data": [{"id": "tls"}]})
    choices = [{"delta": {"content": "a"}, "finish_reason": "stop"}]
    text = f"data: {json.dumps({'choices': choices})}\n\ndata: [DONE]\n\n"
    return web.Response(text=text, content_type="text/event-stream")


class Terminal:
    """The command on a terminal of its own.

    Attributes:
        screen: What the terminal shows.
        written: Every byte that came.
    """

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self._descriptor = descriptor
        self.process = process
        self.written = b""
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)

    def read(self) -> None:
        with contextlib.suppress(OSError):
            data = os.read(self._descriptor, 65536)
            self.written += data
            self._stream.feed(data)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not met():  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(0.05)

    def shows(self, text: str) -> bool:
        return any(text in line for line in self.screen.display)


@asynccontextmanager
async def on_terminal(home: Path, *argv: str, **variables: str) -> AsyncGenerator[Terminal, None]:
    """Run the command on a terminal of 80 by 24."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aiconsole", "bench", *argv,
        env=environment(home, TERM="xterm-256color", **variables),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    terminal = Terminal(ours, process)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, terminal.read)
    try:
        yield terminal
    finally:
        loop.remove_reader(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


async def test_the_screen_while_it_runs_and_ctrl_c(tmp_path: Path) -> None:
    async with (
        service() as found,
        on_terminal(tmp_path, found.url, "--rate", "30", "--duration", "10m") as terminal,
    ):
        await terminal.until(lambda: terminal.shows("p50 of a second") and terminal.shows("┤"))
        assert terminal.shows("of 10 min 00 s")
        assert terminal.screen.display[23].startswith("Ctrl-C ends it and reports")
        assert b"\x1b[?1049h" in terminal.written
        terminal.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(terminal.process.wait(), LIMIT_S) in (0, 1)
        await terminal.until(lambda: b"in 99 % of" in terminal.written
                             or b"CLIENT WAS THE LIMIT" in terminal.written)  # fmt: skip
        assert b"(ended early)" in terminal.written
        assert b"\x1b[?25h\x1b[?1049l" in terminal.written


async def test_the_screen_in_ascii_and_without_colour(tmp_path: Path) -> None:
    async with (
        service() as found,
        on_terminal(
            tmp_path, found.url, "--rate", "30", "--duration", "3s", "--ascii", NO_COLOR="1"
        ) as terminal,
    ):
        await terminal.until(lambda: terminal.shows("p50 of a second"))
        await asyncio.wait_for(terminal.process.wait(), LIMIT_S)
        await terminal.until(lambda: b"latency counts from" in terminal.written)
        assert terminal.written.isascii()
        assert not any(b"\x1b[3%dm" % number in terminal.written for number in range(1, 8))


async def test_a_key_is_asked_for_on_a_terminal_and_not_shown(tmp_path: Path) -> None:
    async with service() as found:

        async def guarded(request: web.BaseRequest) -> web.StreamResponse:
            if request.headers.get("Authorization") != f"Bearer {KEY}":
                return web.Response(status=401)
            return await server.list_models(request)

        found.models = guarded
        async with on_terminal(tmp_path, found.url, "--requests", "5") as terminal:
            await terminal.until(lambda: terminal.shows("password:"))
            terminal.type(f"{KEY}\n")
            assert await asyncio.wait_for(terminal.process.wait(), LIMIT_S) in (0, 1)
            await terminal.until(lambda: b"5 answered" in terminal.written)
            assert KEY.encode() not in terminal.written
