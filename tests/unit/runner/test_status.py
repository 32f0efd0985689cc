"""What the status says of a running slot comes from its daemon, which may say anything or hang."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from aiconsole.onhost.runner.status import _daemons
from aiconsole.onhost.wire import SlotStatus
from tests.unit.runner.place import Place
from tests.unit.runner.test_admin import answering, says

READY = SlotStatus("a", "ready", "m-1", pid=1)


@pytest.fixture
def sock(place: Place) -> Path:
    """Where the daemon in slot a listens."""
    directory = Path(place.layout.slot_run("a"))
    directory.mkdir(parents=True)
    return directory / "admin.sock"


def test_what_a_daemon_says_of_itself(place: Place, sock: Path) -> None:
    said = {"model_verified": "good", "engine_restarts": 2}
    with answering(sock, says(said)):
        assert _daemons(place.layout, (READY, SlotStatus("b", "stopped"))) == {"a": said}


def test_a_slot_without_a_process_is_not_asked(place: Place, sock: Path) -> None:
    with answering(sock, says({"model_verified": "good"})):
        assert _daemons(place.layout, (SlotStatus("a", "stopped"),)) == {}


@pytest.mark.parametrize("document", [{}, [], "no"])
def test_what_is_no_document_is_left_out(place: Place, sock: Path, document: object) -> None:
    with answering(sock, says(document)):
        assert _daemons(place.layout, (READY,)) == {}


def test_nobody_and_one_that_hangs_hold_nobody_up(place: Place, sock: Path) -> None:
    assert _daemons(place.layout, (READY,)) == {}
    over = threading.Event()

    def hang(_: socket.socket) -> None:
        over.wait(30)

    with answering(sock, hang):
        assert _daemons(place.layout, (READY,)) == {}
        over.set()
