"""What the status says of a slot's model comes from the daemon, which may say anything or hang."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from aiconsole.onhost.runner.status import _with_verdict
from aiconsole.onhost.wire import SlotStatus
from tests.unit.runner.place import Place
from tests.unit.runner.test_admin import answering, says

READY = SlotStatus("a", "ready", "m-1")


@pytest.fixture
def sock(place: Place) -> Path:
    """Where the daemon in slot a listens."""
    directory = Path(place.layout.slot_run("a"))
    directory.mkdir(parents=True)
    return directory / "admin.sock"


@pytest.mark.parametrize("verdict", ["not-asked", "checking", "good", "bad", "unreadable"])
def test_the_daemons_verdict(place: Place, sock: Path, verdict: str) -> None:
    with answering(sock, says({"model_verified": verdict})):
        assert _with_verdict(place.layout, READY).model_verified == verdict


def test_a_slot_that_does_not_run_is_not_asked(place: Place, sock: Path) -> None:
    with answering(sock, says({"model_verified": "good"})):
        for state in ("stopped", "starting", "loading", "failed"):
            slot = SlotStatus("a", state)
            assert _with_verdict(place.layout, slot) == slot


@pytest.mark.parametrize("document", [{}, [], {"model_verified": None}, {"model_verified": 0}])
def test_no_verdict(place: Place, sock: Path, document: object) -> None:
    with answering(sock, says(document)):
        assert _with_verdict(place.layout, READY) == READY


def test_what_is_too_long_is_cut(place: Place, sock: Path) -> None:
    with answering(sock, says({"model_verified": "x" * 100_000})):
        assert len(_with_verdict(place.layout, READY).model_verified) == 40


def test_nobody_and_one_that_hangs_hold_nobody_up(place: Place, sock: Path) -> None:
    assert _with_verdict(place.layout, READY) == READY
    over = threading.Event()

    def hang(_: socket.socket) -> None:
        over.wait(30)

    with answering(sock, hang):
        assert _with_verdict(place.layout, READY) == READY
        over.set()
