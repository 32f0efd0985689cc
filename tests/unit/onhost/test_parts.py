"""The keeper's parts, each on its own."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from aiconsole.onhost.keeper import desired, process
from aiconsole.onhost.keeper.address import reachable, split
from aiconsole.onhost.keeper.backoff import Backoff
from aiconsole.onhost.keeper.desired import Desired
from aiconsole.onhost.keeper.log import Log, last_words, read_log
from aiconsole.onhost.keeper.owner import _script, find_owner, port_owner


def test_backoff_doubles_to_a_minute_and_starts_over() -> None:
    backoff = Backoff()
    assert [backoff.after_crash(0.0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.after_crash(ready_for_s=61.0) == 1
    backoff.reset()
    assert backoff.crashes == 0


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80)), ("host:1", ("host", 1))],
)
def test_an_address_is_split(address: str, parts: tuple[str, int]) -> None:
    assert split(address) == parts


@pytest.mark.parametrize("address", ["", ":80", "80", "host:", "host:0", "host:65536", "host:x"])
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        split(address)


def test_a_wildcard_is_reached_by_the_loopback() -> None:
    assert reachable("0.0.0.0:80") == "127.0.0.1:80"
    assert reachable("[::]:80") == "[::1]:80"
    assert reachable("10.0.0.1:80") == "10.0.0.1:80"


def test_a_log_is_bounded_and_keeps_its_end(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), limit_bytes=1000)
    fd = log.open()
    for number in range(200):
        os.write(fd, f"line {number:04}\n".encode())
    assert log.rotate() is True
    os.write(fd, b"after\n")  # The slot's descriptor goes on at the new end.
    os.close(fd)
    assert log.path.read_bytes() == b"after\n"
    assert log.older.stat().st_size == 1000
    assert read_log(str(log.path), 2) == ["line 0199", "after"]
    assert log.rotate() is False


def test_the_last_words_are_of_the_newest_start(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"))
    log.mark("slot a started with release r1")
    _append(log, "old\n")
    log.mark("slot a started with release r2")
    _append(log, "one\n\ntwo\n")
    log.mark("slot a ended with exit status 3")
    assert last_words(str(log.path)) == ["one", "two"]
    assert last_words(str(log.path), 1) == ["two"]
    assert last_words(str(tmp_path / "none")) == []


def test_lines_since_a_start(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(
        "-- aiconsole keeper: 100.000 slot a started with release r1\nold\n"
        "-- aiconsole keeper: 200.000 slot a started with release r2\nnew\n"
    )
    assert read_log(str(path), 10, since_unix_s=150)[1:] == ["new"]
    assert read_log(str(path), 10, since_unix_s=300) == []


def _append(log: Log, text: str) -> None:
    fd = log.open()
    os.write(fd, text.encode())
    os.close(fd)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"address": 1}', "\0", '{"address": "", "slot": "z"}']
)
def test_a_damaged_state_wants_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keeper.json"
    path.write_text(content)
    assert desired.load(str(path)) == Desired()


def test_the_state_survives(tmp_path: Path) -> None:
    path = str(tmp_path / "keeper.json")
    desired.save(path, Desired("127.0.0.1:80", "b"))
    assert desired.load(path) == Desired("127.0.0.1:80", "b")


def test_a_pid_that_went_to_another_process_is_not_recalled(tmp_path: Path) -> None:
    path = str(tmp_path / "pid")
    process.remember(path, os.getpid())
    assert process.recall(path) == os.getpid()
    Path(path).write_text(f"{os.getpid()} 1\n")
    assert process.recall(path) == 0
    process.forget(path)
    assert process.recall(path) == 0


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_owner_of_a_port_is_found(family: socket.AddressFamily) -> None:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        owner = find_owner(address)
        assert owner is not None
        assert os.getpid() in owner.pids
        assert owner.uid == os.getuid()
        assert find_owner(f"0.0.0.0:{port}" if ":" not in host else f"[::]:{port}") is not None
        assert find_owner(f"127.9.9.9:{port}") is None
    assert port_owner(address) == ""


def test_of_an_interpreter_only_the_script_is_shown() -> None:
    assert _script(["python3", "-I", "/srv/app.py", "--token", "s3cret"]) == "/srv/app.py"
    assert _script(["python3", "-m", "http.server", "80"]) == "http.server"
    assert _script(["python3", "-c", "secret = 1"]) == ""
    assert _script(["node"]) == ""
