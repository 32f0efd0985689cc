"""The slot's directory belongs to the service, and root looks into it: nothing may hold it up."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from aiconsole.onhost.runner import admin
from aiconsole.onhost.runner.admin import Admin, NoAnswer
from aiconsole.onhost.runner.tally import Count
from aiconsole.onhost.runner.watch import Watch
from tests.unit.runner.place import Place

pytestmark = pytest.mark.timeout(60)
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.fixture
def slot(place: Place) -> Path:
    """The run directory of slot a."""
    directory = Path(place.layout.slot_run("a"))
    directory.mkdir(parents=True)
    return directory


@contextmanager
def answering(
    path: Path, answer: Callable[[socket.socket], None], heard: list[bytes] | None = None
) -> Iterator[None]:
    """A daemon that gives each caller this answer, and keeps what it heard."""

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            with caller, suppress(OSError):
                request = caller.recv(65536)
                while request.startswith(b"POST") and not request.endswith(b"}"):
                    request += caller.recv(65536)
                if heard is not None:
                    heard.append(request)
                answer(caller)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        beside = threading.Thread(target=serve)
        beside.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        beside.join()


def says(document: object) -> Callable[[socket.socket], None]:
    body = json.dumps(document).encode()
    return lambda caller: caller.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.parametrize("engine", ["llama", "remote"])
def test_a_provider_that_answers_chats_alone_is_proven_by_one(
    place: Place, slot: Path, engine: str
) -> None:
    release = Path(place.layout.slot("a"))
    release.mkdir(parents=True)
    document = {"model": {"name": "tiny"}, "settings": {"engine": engine, "tls": False}}
    (release / "release.json").write_text(json.dumps(document))
    heard: list[bytes] = []
    choice = {"message": {"content": "yes"}} if engine == "remote" else {"text": "yes"}
    with answering(slot / "admin.sock", says({"choices": [choice]}), heard):
        assert Admin(place.layout, "a").prove(4, 10.0) >= 0
    path = b"/v1/chat/completions" if engine == "remote" else b"/v1/completions"
    assert [request.split()[1] for request in heard] == [b"/ready", path]


def test_a_tally_that_is_no_file_is_none(place: Place, slot: Path) -> None:
    tally, secret = slot / "tally.json", place.root / "secret"
    secret.write_text('{"instance": "of another"}')
    os.mkfifo(tally)
    assert Admin(place.layout, "a").last_tally() == {}
    tally.unlink()
    tally.symlink_to(secret)
    assert Admin(place.layout, "a").last_tally() == {}
    tally.unlink()
    with open(tally, "wb") as endless:
        os.truncate(endless.fileno(), 1 << 40)
    assert Admin(place.layout, "a").last_tally() == {}
    tally.unlink()
    tally.write_text("[" * 100_000)
    assert Admin(place.layout, "a").last_tally() == {}


def test_a_link_does_not_lead_to_the_socket_of_another(place: Place, slot: Path) -> None:
    other = place.root / "other.sock"
    with answering(other, says({"state": "ready"})):
        (slot / "admin.sock").symlink_to(other)
        with pytest.raises(NoAnswer, match="Socket operation on non-socket"):
            Admin(place.layout, "a").status()


def test_an_answer_without_an_end_is_given_up(place: Place, slot: Path) -> None:
    def pour(caller: socket.socket) -> None:
        caller.sendall(HEAD + b"\r\n")
        while True:
            caller.sendall(b" " * 65536)

    with (
        answering(slot / "admin.sock", pour),
        pytest.raises(NoAnswer, match="longer than 1048576 bytes"),
    ):
        Admin(place.layout, "a").status()


def test_an_answer_that_trickles_is_given_up(
    place: Place, slot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "_LOOK_S", 0.5)
    ended = threading.Event()

    def trickle(caller: socket.socket) -> None:
        caller.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not ended.wait(0.05):
            caller.sendall(b"x")

    with answering(slot / "admin.sock", trickle):
        try:
            with pytest.raises(NoAnswer, match=r"no answer to /admin/status within 0\.5 s"):
                Admin(place.layout, "a").status()
        finally:
            ended.set()


@pytest.mark.parametrize("served", ["many", None, 1e999, [], {}])
def test_a_count_that_is_no_number_counts_nothing(place: Place, slot: Path, served: object) -> None:
    with answering(slot / "admin.sock", says({"instance": "x", "served": served, "failed": 2})):
        count = Count(place.layout, "a", fresh=True)
        count.ask()
    assert count.finished() == (0, 2)


def test_a_watch_ends_while_the_queue_of_the_socket_is_full() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        place = listener.getsockname()
        queued = [socket.socket() for _ in range(8)]
        for one in queued:
            one.setblocking(False)
            one.connect_ex(place)
        with Watch(f"127.0.0.1:{place[1]}", timeout_s=600.0) as watch:
            pass
        assert watch.noticed.failed == 0, "nobody knows what it would have got"
        for one in queued:
            one.close()
