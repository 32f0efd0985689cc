"""TLS of the daemon: versions, certificates that change under load, slow clients, and the end."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from aiconsole.onhost.probe.inferd import InferdSource
from aiconsole.onhost.runner.watch import Watch
from tests.contract.inferd.running import Running, bound, daemon, settings_text, until
from tests.contract.inferd.test_probe import source_of
from tests.fixtures.certificate import Pair, write_pair
from tests.fixtures.identity import rsa_key

TEXT, MODELS = "/v1/completions", "/v1/models"
ASK = {"prompt": "hi", "max_tokens": 2}
LONG = {"prompt": "hi", "max_tokens": 400, "ignore_eos": True}


def _settings(model: Path, pair: Pair, *, minimum: str = "1.2", limits: str = "") -> str:
    tls = f'[tls]\ncertificate_file = "{pair.certificate}"\nkey_file = "{pair.key}"\n'
    return settings_text(model, limits=limits) + tls + f'minimum = "{minimum}"\n'


def _at(running: Running) -> tuple[str, int]:
    return "127.0.0.1", int(urlsplit(running.url).port or 0)


def _url(running: Running) -> str:
    return running.url.replace("http:", "https:")


def _trusting(*pairs: Pair) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for pair in pairs:
        context.load_verify_locations(pair.certificate)
    return context


def _anyone() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _connected(running: Running, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(_at(running), timeout=30) as sock,
        context.wrap_socket(sock, server_hostname="127.0.0.1") as wrapped,
    ):
        yield wrapped


def _shown(running: Running) -> bytes:
    """The certificate that a new connection is shown."""
    with _connected(running, _anyone()) as sock:
        return sock.getpeercert(binary_form=True) or b""


def _der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())


@pytest.fixture
def pair(room: Path) -> Pair:
    return write_pair(room / "tls")


def test_requests_streams_and_the_admin_socket(room: Path, tiny_model: Path, pair: Pair) -> None:
    with daemon(room, _settings(tiny_model, pair)) as running:
        running.until_ready()
        with httpx.Client(base_url=_url(running), verify=_trusting(pair)) as client:
            for _ in range(3):  # over one connection
                assert client.post(TEXT, json=ASK).status_code == 200
            with client.stream("POST", TEXT, json={**LONG, "stream": True}) as answer:
                lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
            assert lines[-1] == "data: [DONE]"
            assert len(lines) > 10
            assert client.post(TEXT, json={**ASK, "prompt": "x" * 200_000}).status_code == 400
            metrics = client.get("/metrics").text
        ends = [
            line for line in metrics.splitlines() if "certificate_expiry" in line and line[0] != "#"
        ][-1]
        assert 29 * 86400 < float(ends.split()[1]) - time.time() < 31 * 86400
        assert running.status()["state"] == "ready"
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(running.url + "/health")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(_url(running) + "/health")
        assert running.stop() == 0
        assert "Traceback" not in running.log


@pytest.mark.parametrize(
    ("minimum", "spoken", "works"),
    [("1.2", "TLSv1_1", False), ("1.2", "TLSv1_2", True), ("1.2", "TLSv1_3", True),
     ("1.3", "TLSv1_2", False), ("1.3", "TLSv1_3", True)],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_versions(
    room: Path, tiny_model: Path, pair: Pair, minimum: str, spoken: str, works: bool
) -> None:
    context = _anyone()
    # A client of old: without this it would not even try.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[spoken]
    context.set_alpn_protocols(["h2", "http/1.1"])
    with daemon(room, _settings(tiny_model, pair, minimum=minimum)) as running:
        running.until_ready()
        if not works:
            with pytest.raises(ssl.SSLError), _connected(running, context):
                pass
            return
        with _connected(running, context) as sock:
            assert sock.version() == spoken.replace("_", ".")
            assert sock.selected_alpn_protocol() == "http/1.1"
            assert sock.compression() is None
            cipher = sock.cipher()
            assert cipher
            assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]


def test_openssl_agrees(room: Path, tiny_model: Path, pair: Pair) -> None:
    """What another implementation of a client says of old versions and weak ciphers."""
    with daemon(room, _settings(tiny_model, pair)) as running:
        running.until_ready()
        address = "{}:{}".format(*_at(running))

        def handshake(*options: str) -> int:
            return subprocess.run(
                ["openssl", "s_client", "-connect", address, *options],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
            ).returncode  # fmt: skip

        assert handshake("-tls1_2") == handshake("-tls1_3") == 0
        assert handshake("-tls1_2", "-cipher", "ALL:@SECLEVEL=0") == 0
        for old in ("-tls1_1", "-tls1"):
            assert handshake(old, "-cipher", "ALL:@SECLEVEL=0") != 0
        for weak in ("NULL", "RC4", "DES", "EXPORT", "AES128-SHA", "ADH"):
            assert handshake("-tls1_2", "-cipher", f"{weak}:@SECLEVEL=0") != 0


def test_a_new_certificate_under_load(room: Path, tiny_model: Path, pair: Pair) -> None:
    """No request fails, open connections go on, new ones are shown the new one."""
    first = _der(pair)
    context = _anyone()
    with daemon(room, _settings(tiny_model, pair)) as running:
        running.until_ready()
        codes: list[int] = []
        stop = threading.Event()

        def hammer(client: httpx.Client, ask: Callable[[httpx.Client], httpx.Response]) -> None:
            with client:
                while not stop.is_set():
                    codes.append(ask(client).status_code)

        def often(client: httpx.Client) -> httpx.Response:
            return httpx.get(_url(running) + MODELS, verify=context)

        def steady(client: httpx.Client) -> httpx.Response:
            return client.post(TEXT, json=ASK)

        threads = [
            threading.Thread(
                target=hammer, args=(httpx.Client(base_url=_url(running), verify=context), ask)
            )
            for ask in (often, often, steady)
        ]
        with _connected(running, context) as kept:
            for thread in threads:
                thread.start()
            assert _shown(running) == first
            for _ in range(3):
                write_pair(room / "tls")
                wanted = _der(pair)
                until(lambda: _shown(running) == wanted, "the new certificate", 30)  # noqa: B023
            kept.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
        stop.set()
        for thread in threads:
            thread.join()
        assert len(codes) > 30
        assert set(codes) == {200}
        tally = running.tally_after_stop()
        assert tally["failed"] == 0
        assert running.log.count("certificate was read again") >= 3


def test_a_bad_new_pair_changes_nothing(room: Path, tiny_model: Path, pair: Pair) -> None:
    first, key = _der(pair), pair.key.read_bytes()
    with daemon(room, _settings(tiny_model, pair)) as running:
        running.until_ready()

        def told(text: str) -> None:
            until(lambda: text in running.log, text, 30)
            assert _shown(running) == first

        pair.key.write_bytes(write_pair(room / "other").key.read_bytes())
        told("is not the key of")
        pair.certificate.write_text("-----BEGIN")
        told("no certificate in PEM")
        pair.certificate.unlink()
        told("No such file")
        pair.key.chmod(0o644)
        told("can be read by everybody")
        assert running.log.count("the old certificate stays in force") == 4
        write_pair(room / "tls")
        until(lambda: _shown(running) == _der(pair), "a good one again", 30)
        assert _shown(running) != first
        assert key not in running.log.encode()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda pair: pair.certificate.unlink(), "cert.pem: No such file"),
        (lambda pair: pair.key.unlink(), "key.pem: No such file"),
        (lambda pair: pair.key.write_text("x"), "no key in PEM"),
        (lambda pair: pair.certificate.write_text("x"), "no certificate in PEM"),
        (lambda pair: pair.key.chmod(0o604), "can be read by everybody"),
        (lambda pair: write_pair(pair.key.parent, passphrase="secret"), "encrypted"),
        (lambda pair: write_pair(pair.key.parent, key=rsa_key("small", 1024)), "too weak"),
        (lambda pair: pair.key.write_bytes(
            write_pair(pair.key.parent / "other").key.read_bytes()), "is not the key of"),
    ],
    ids=["no-certificate", "no-key", "key", "certificate", "mode", "passphrase", "weak",
         "mismatch"],
)  # fmt: skip
def test_files_that_keep_it_from_starting(
    room: Path, tiny_model: Path, pair: Pair, spoil: Callable[[Pair], Any], told: str
) -> None:
    spoil(pair)
    with daemon(room, _settings(tiny_model, pair)) as running:
        assert running.wait() == 78
        assert told in running.log
        assert "Correct [tls]" in running.log
        assert not running.said_ready


def test_an_expired_certificate_is_told(room: Path, tiny_model: Path) -> None:
    pair = write_pair(room / "tls", days=-1)
    with daemon(room, _settings(tiny_model, pair)) as running:
        running.until_ready()
        assert "certificate has expired" in running.log


def test_clients_that_do_not_come_to_the_end_of_a_handshake(
    room: Path, tiny_model: Path, pair: Pair
) -> None:
    with daemon(room, _settings(tiny_model, pair, limits="read_timeout_s = 1.5")) as running:
        running.until_ready()
        before = _descriptors(running)
        socks = [socket.create_connection(_at(running), timeout=30) for _ in range(20)]
        for number, sock in enumerate(socks):
            sock.sendall((b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01")[number % 3])
        assert httpx.get(_url(running) + MODELS, verify=_anyone()).status_code == 200
        for sock in socks:
            with contextlib.suppress(ConnectionError):
                while sock.recv(4096):
                    pass
            sock.close()
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, os.urandom(300)):
            with socket.create_connection(_at(running), timeout=30) as sock:
                sock.sendall(nonsense)
                with contextlib.suppress(ConnectionError):
                    while sock.recv(4096):
                        pass
        # A client that is slow after the handshake is told so in the usual way.
        with _connected(running, _anyone()) as slow:
            slow.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            assert slow.recv(65536).startswith(b"HTTP/1.1 408 ")
        until(lambda: _descriptors(running) <= before, "all are closed", 30)
        assert "Traceback" not in running.log
        assert len(running.log.splitlines()) < 15


def _descriptors(running: Running) -> int:
    """Sockets that the daemon holds."""
    count = 0
    for entry in Path(f"/proc/{running.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += stat.S_ISSOCK(entry.stat().st_mode)
    return count


def test_the_end_breaks_off_nobody(room: Path, slow_model: Path, pair: Pair) -> None:
    """A stream, an idle connection, a request on its way and a handshake that has just begun."""
    limits = "idle_grace_s = 0.5\ndrain_timeout_s = 60"
    sock = bound()
    with daemon(room, _settings(slow_model, pair, limits=limits), sock=sock) as running:
        running.until_ready()
        context = _anyone()
        with (
            httpx.Client(base_url=_url(running), verify=context, timeout=60) as client,
            client.stream("POST", TEXT, json={**LONG, "stream": True}) as answer,
            _connected(running, context) as idle,
            _connected(running, context) as late,
            socket.create_connection(_at(running), timeout=60) as raw,
        ):
            lines = answer.iter_lines()
            next(lines)
            until(lambda: running.status()["in_flight"] == 1, "it streams")
            greeting = _Handshake(raw, context)
            greeting.begin()
            greeting.until_answered()
            sock.close()
            running.process.terminate()
            until(lambda: "draining" in running.log, "the drain")
            late.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            head = late.recv(65536)
            assert head.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in head
            body = greeting.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert body.startswith(b"HTTP/1.1 200 ")
            assert idle.recv(1) == b""
            found = [line for line in lines if line.startswith("data: ")]
            assert found[-1] == "data: [DONE]"
            assert "error" not in json.loads(found[-2][6:])
        assert running.wait() == 0
        assert running.tally["failed"] == 0


def test_the_end_waits_for_a_handshake_that_has_begun(
    room: Path, tiny_model: Path, pair: Pair
) -> None:
    """The connection was accepted here, so nobody else could answer on it."""
    sock = bound()
    with daemon(room, _settings(tiny_model, pair), sock=sock) as running:
        running.until_ready()
        with socket.create_connection(_at(running), timeout=60) as raw:
            greeting = _Handshake(raw, _anyone())
            greeting.begin()
            greeting.until_answered()
            sock.close()
            running.process.terminate()
            until(lambda: "draining" in running.log, "the drain")
            time.sleep(0.3)
            answer = greeting.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 ")
        assert running.wait() == 0


class _Handshake:
    """A client's side of TLS, one step at a time."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out)

    def begin(self) -> None:
        """Say hello, and leave the rest for later."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        self._sock.sendall(self._out.read())

    def until_answered(self) -> None:
        """The other side has accepted, and said its own hello."""
        assert self._sock.recv(1, socket.MSG_PEEK)

    def ask(self, data: bytes) -> bytes:
        """Come to the end of the handshake, and ask."""
        self._until(self._tls.do_handshake)
        self._tls.write(data)
        self._sock.sendall(self._out.read())
        found: bytes = self._until(lambda: self._tls.read(65536))
        return found

    def _until(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                found = step()
            except ssl.SSLWantReadError:
                self._sock.sendall(self._out.read())
                self._in.write(self._sock.recv(65536))
            else:
                self._sock.sendall(self._out.read())
                return found


def test_a_client_that_does_not_say_goodbye_holds_up_no_end(
    room: Path, tiny_model: Path, pair: Pair
) -> None:
    limits = "idle_grace_s = 0.1\ndrain_timeout_s = 60"
    with daemon(room, _settings(tiny_model, pair, limits=limits)) as running:
        running.until_ready()
        with _connected(running, _anyone()) as silent:
            silent.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert silent.recv(65536)
            began = time.monotonic()
            assert running.stop() == 0
            assert time.monotonic() - began < 30


def test_what_watches_it_on_this_machine_finds_out(
    room: Path, tiny_model: Path, pair: Pair
) -> None:
    """The probe and the watch of a swap ask as they did before; a release may change the way."""
    host = bound()
    (room / "plain").mkdir()
    secure = _settings(tiny_model, pair)
    source: InferdSource | None = None
    address = f"127.0.0.1:{host.getsockname()[1]}"
    for place, text in ((room, secure), (room / "plain", settings_text(tiny_model))):
        with daemon(place, text, sock=host) as running:
            running.until_ready()
            source = source or source_of(running, room / "var")
            for _ in range(2):
                reading = source.read()
                assert reading.state == "ready", reading
                assert reading.requests_total == {}
            with Watch(address, timeout_s=30.0) as watch:
                until(lambda: watch.noticed.probes >= 5, "probes")
            assert watch.noticed.failed == 0
            assert running.stop() == 0
            assert "Traceback" not in running.log
    host.close()
    assert source is not None
    assert source.read().state == "no-answer"
    with Watch(address, timeout_s=30.0) as watch:
        until(lambda: watch.noticed.probes >= 2, "probes")
    assert watch.noticed.failed == watch.noticed.probes
