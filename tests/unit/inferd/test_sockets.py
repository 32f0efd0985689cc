"""Which addresses are open to others, and what cannot be listened on."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.network.sockets import (
    admin_socket,
    handed_over,
    is_open_to_all,
    listen_on,
)
from aiconsole.onhost.inferd.start_error import StartError


@pytest.mark.parametrize(
    ("address", "open_to_all"),
    [("127.0.0.1:0", False), ("127.9.9.9:0", False), ("0.0.0.0:0", True), ("[::1]:0", False),
     ("[::]:0", True)],
)  # fmt: skip
def test_is_open_to_all(address: str, open_to_all: bool) -> None:
    with listen_on(address) as sock:
        assert is_open_to_all(sock) is open_to_all


@pytest.mark.parametrize("address", ["", "8000", "localhost", "localhost:http", ":80", "a:99999"])
def test_not_an_address(address: str) -> None:
    with pytest.raises(StartError, match="cannot be used"):
        listen_on(address)


def test_admin_socket_is_private_and_replaces_a_left_over_one(tmp_path: Path) -> None:
    for _ in range(2):
        with admin_socket(tmp_path):
            assert (tmp_path / "admin.sock").stat().st_mode & 0o777 == 0o600


def test_a_path_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with pytest.raises(StartError, match="too long"):
        admin_socket(deep)


def test_nothing_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)
    assert handed_over() is None
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert handed_over() is None


def test_several_sockets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.delenv("LISTEN_PID", raising=False)
    with pytest.raises(StartError, match="handed-over"):
        handed_over()


def test_a_unix_socket_is_for_this_machine(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        assert not is_open_to_all(sock)
