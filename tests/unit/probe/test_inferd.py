"""inferd as the probe sees it: what it says, what it does not say, and what is no inferd."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.metrics import Metrics
from aiconsole.onhost.probe.account import Account
from aiconsole.onhost.probe.deployed import deployed, dial_address
from aiconsole.onhost.probe.fetch import Place, Reply, SilenceError, get_all
from aiconsole.onhost.probe.inferd import InferdSource
from aiconsole.onhost.probe.paced import SourceError
from aiconsole.onhost.wire import HostLayout, InferdReading, ServiceState, to_json
from tests.fixtures.certificate import server_context

Answers = dict[str, tuple[int, bytes]]


class Daemon:
    """Speaks HTTP like inferd; what it says is the test's."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.ready, self.draining, self.engine = 1.0, 0.0, "ready"
        self.metrics.gauge("inferd_ready", "-", lambda: self.ready)
        self.metrics.gauge("inferd_draining", "-", lambda: self.draining)
        self.metrics.gauge("inferd_requests_running", "-", lambda: 2)
        self.metrics.gauge("inferd_requests_waiting", "-", lambda: 5)
        self.metrics.engine_state.labels("ready").set_function(lambda: self.engine == "ready")
        self.metrics.engine_state.labels("failed").set_function(lambda: self.engine == "failed")
        self.health: dict[str, object] = {
            "status": "ok", "instance": "i1", "version": "1", "slot": "b",
            "release": "tiny-2", "state": "ready",
        }  # fmt: skip

    def request(self, code: int, duration_s: float, route: str = "chat") -> None:
        self.metrics.requests.labels(route, "tiny", code, "stop").inc()
        self.metrics.duration_s.labels(route).observe(duration_s)
        if code >= 500:
            self.metrics.failed.inc()

    def answers(self) -> Answers:
        return {
            "/health": (200, json.dumps(self.health).encode()),
            "/metrics": (200, self.metrics.text()),
        }


@contextmanager
def serving(
    answers: Callable[[], Answers],
    path: Path | None = None,
    close: bool = False,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Place]:
    """A small HTTP server with kept connections, on a free port or a UNIX socket."""
    listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    listener.bind(str(path) if path else ("127.0.0.1", 0))
    listener.listen()

    def talk(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            while request := lines.readline():
                while lines.readline().strip():
                    pass
                status, body = answers()[request.split()[1].decode()]
                end = "close" if close else "keep-alive"
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n"
                connection.sendall(f"{head}Connection: {end}\r\n\r\n".encode() + body)
                if close:
                    return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with suppress(ssl.SSLError):  # Who does not speak TLS is let go.
                talk(tls.wrap_socket(connection, server_side=True) if tls else connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield str(path) if path else listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@contextmanager
def saying(data: bytes, stay: bool = False) -> Iterator[Place]:
    """Says the same to everybody, and then closes the connection or keeps silent."""
    listener = socket.create_server(("127.0.0.1", 0))
    released = threading.Event()

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(data)
            if stay:
                released.wait(20)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        released.set()
        listener.close()
        thread.join(10)


def layout_with(tmp_path: Path, place: Place | None, **state: object) -> HostLayout:
    layout = HostLayout("keeper", *(str(tmp_path / name) for name in ("opt", "var", "run", "etc")))
    address = f"{place[0]}:{place[1]}" if isinstance(place, tuple) else ""
    values = {"release_id": "tiny-1", "slot": "a", "address": address, "wanted": "running", **state}
    Path(layout.var).mkdir(exist_ok=True)
    service = ServiceState(**values)  # type: ignore[arg-type]
    Path(layout.state_file).write_text(json.dumps(to_json(service)))
    return layout


def read(layout: HostLayout, answer_s: float = 10.0) -> InferdReading:
    return InferdSource([layout], 1.0, answer_s=answer_s).read()


def test_never_deployed(tmp_path: Path) -> None:
    layout = HostLayout.of_user(str(tmp_path))
    assert read(layout) == InferdReading(state="absent")


def test_stopped_on_purpose(tmp_path: Path) -> None:
    reading = read(layout_with(tmp_path, ("127.0.0.1", 9), wanted="stopped"))
    assert (reading.state, reading.release_id) == ("stopped", "tiny-1")


def test_ready_with_its_totals(tmp_path: Path) -> None:
    daemon = Daemon()
    for code in (200, 200, 404, 503):
        daemon.request(code, 0.1)
    daemon.request(200, 0.001, "health")
    daemon.metrics.completion_tokens.labels("tiny").inc(70)
    with serving(daemon.answers) as place:
        reading = read(layout_with(tmp_path, place))
    assert (reading.state, reading.reason, reading.instance) == ("ready", "", "i1")
    assert (reading.release_id, reading.slot) == ("tiny-2", "b"), "of the one that answered"
    assert reading.requests_total == {"2xx": 2, "4xx": 1, "5xx": 1}
    assert (reading.failed_total, reading.running, reading.waiting) == (1, 2, 5)
    assert (reading.completion_tokens_total, reading.prompt_tokens_total) == (70, 0)
    rates = (reading.requests_per_s, reading.tokens_per_s, reading.latency_p95_s)
    assert rates == (None, None, None), "one reading has no rates"


@pytest.mark.parametrize(
    ("ready", "draining", "engine", "reason"),
    [
        (0.0, 1.0, "ready", "draining"),
        (0.0, 0.0, "failed", "the engine is failed"),
        (0.0, 0.0, "ready", "its queue is full"),
    ],
)
def test_it_says_why_it_is_not_ready(
    tmp_path: Path, ready: float, draining: float, engine: str, reason: str
) -> None:
    daemon = Daemon()
    daemon.ready, daemon.draining, daemon.engine = ready, draining, engine
    with serving(daemon.answers) as place:
        reading = read(layout_with(tmp_path, place))
    assert (reading.state, reading.reason) == ("not-ready", reason)


def test_loading_is_starting(tmp_path: Path) -> None:
    daemon = Daemon()
    daemon.health["state"] = "loading"
    with serving(daemon.answers) as place:
        reading = read(layout_with(tmp_path, place))
    assert (reading.state, reading.reason) == ("starting", "loading")


def test_one_that_closes_between_the_answers_is_still_heard(tmp_path: Path) -> None:
    daemon = Daemon()
    daemon.health["state"] = "draining"
    with serving(daemon.answers, close=True) as place:
        reading = read(layout_with(tmp_path, place))
    assert (reading.state, reading.reason) == ("not-ready", "draining")
    assert reading.requests_total is None


def test_a_service_that_speaks_tls_is_read_in_tls(tmp_path: Path) -> None:
    daemon = Daemon()
    with serving(daemon.answers, tls=server_context(tmp_path)) as place:
        layout = layout_with(tmp_path, place, slot="a")
        reading = read(layout)
    assert (reading.state, reading.instance) == ("ready", "i1")


def locked(daemon: Daemon) -> Callable[[], Answers]:
    return lambda: {**daemon.answers(), "/metrics": (401, b"{}")}


def test_metrics_behind_a_key_come_by_the_admin_socket(tmp_path: Path) -> None:
    daemon = Daemon()
    daemon.request(200, 0.1)
    with serving(locked(daemon)) as place:
        layout = layout_with(tmp_path, place)
        without = read(layout)
        assert (without.state, without.reason) == ("ready", "/metrics answers 401")
        assert without.requests_total is None
        admin = Path(layout.slot_run("b"))
        admin.mkdir(parents=True)
        with serving(daemon.answers, admin / "admin.sock"):
            assert read(layout).requests_total == {"2xx": 1}


def test_the_admin_socket_of_another_instance_is_not_believed(tmp_path: Path) -> None:
    daemon, other = Daemon(), Daemon()
    other.health["instance"] = "i2"
    with serving(locked(daemon)) as place:
        layout = layout_with(tmp_path, place)
        admin = Path(layout.slot_run("b"))
        admin.mkdir(parents=True)
        with serving(other.answers, admin / "admin.sock"):
            assert read(layout).requests_total is None


def test_refused_is_no_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        place = gone.getsockname()
    reading = read(layout_with(tmp_path, place))
    assert (reading.state, reading.reason) == ("no-answer", "Connection refused")


def test_a_held_socket_that_nobody_answers_is_told_with_its_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        source = InferdSource([layout_with(tmp_path, held.getsockname())], 1.0, answer_s=0.1)
        first = source.read()
        assert first.state == "no-answer"
        assert first.reason.startswith("it takes connections and does not answer since ")
        assert source.read().reason == first.reason, "since the first time"


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"", "it closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nbody", "without a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "too long"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "without a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", "it closed the connection"),
        (b"\x00" * 70000, "it closed the connection"),
    ],
)
def test_what_is_no_http_is_an_error(said: bytes, heard: str) -> None:
    with saying(said) as place, pytest.raises(SourceError, match=heard):
        get_all(place, ["/health"], 10.0)


def test_half_an_answer_and_silence_is_silence() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"
    with saying(half, stay=True) as place, pytest.raises(SilenceError):
        get_all(place, ["/health"], 0.2)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html>", b"\xff", b"[" * 100_000])
def test_something_else_on_the_port_is_not_taken_for_it(tmp_path: Path, body: bytes) -> None:
    with serving(lambda: {"/health": (200, body), "/metrics": (200, b"x")}) as place:
        reading = read(layout_with(tmp_path, place))
    assert reading.state == "not-ready"
    assert reading.reason == "/health answers 200, which inferd does not"


def test_rates_are_of_one_instance_and_never_negative() -> None:
    daemon, account = Daemon(), Account()

    def reading(instance: str, now_s: float) -> InferdReading:
        told = InferdReading(state="ready", instance=instance)
        return account.reading(told, Reply(200, daemon.metrics.text()), now_s)

    daemon.request(200, 0.05, "health")
    assert reading("one", 0.0).requests_per_s is None
    for _ in range(8):
        daemon.request(200, 0.3)
    daemon.request(500, 5.0)
    daemon.request(500, 5.0)
    daemon.request(200, 0.001, "metrics")
    daemon.metrics.completion_tokens.labels("tiny").inc(100)
    busy = reading("one", 2.0)
    assert (busy.requests_per_s, busy.errors_per_s, busy.tokens_per_s) == (5.0, 1.0, 50.0)
    assert busy.latency_p50_s == pytest.approx(0.26)
    assert busy.latency_p95_s is not None
    assert 2.56 < busy.latency_p95_s < 5.12
    idle = reading("one", 3.0)
    assert (idle.requests_per_s, idle.latency_p50_s) == (0.0, None)
    daemon = Daemon()
    daemon.request(200, 0.1)
    swapped = reading("two", 4.0)
    assert (swapped.requests_per_s, swapped.tokens_per_s) == (None, None)
    assert reading("two", 5.0).requests_per_s == 0.0


def test_the_newest_installation_that_should_run_counts(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    old = layout_with(tmp_path / "1", ("127.0.0.1", 1), deployed_unix_s=1.0)
    new = layout_with(tmp_path / "2", ("127.0.0.1", 1), deployed_unix_s=2.0, wanted="stopped")
    found = deployed([new, old])
    assert found is not None
    assert found.layout == old


@pytest.mark.parametrize("text", ["", "{", "[]", '{"slot": 3}', "null", '{"strange": 1}'])
def test_a_damaged_state_file_is_named(tmp_path: Path, text: str) -> None:
    layout = layout_with(tmp_path, None)
    Path(layout.state_file).write_text(text)
    with pytest.raises(SourceError, match="is not a state"):
        deployed([layout])


@pytest.mark.parametrize(
    ("address", "dialled"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:8080", ("127.0.0.1", 8080)),
        ("[::]:8080", ("::1", 8080)),
        ("10.0.0.5:80", ("10.0.0.5", 80)),
    ],
)
def test_where_to_dial(address: str, dialled: tuple[str, int]) -> None:
    assert dial_address(address) == dialled


@pytest.mark.parametrize("address", ["", "8080", "host:", "host:0", "host:65536", "host:x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SourceError):
        dial_address(address)
