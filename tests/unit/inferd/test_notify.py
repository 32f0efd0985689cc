"""The notification protocol, over a real datagram socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.notify import Notifier


@pytest.mark.parametrize("abstract", [True, False])
def test_messages(tmp_path: Path, abstract: bool) -> None:
    name = "@aiconsole-test-notify" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:] if abstract else name)
        sock.settimeout(10)
        notifier = Notifier(name)
        notifier.status("loading\nREADY=1", extend_s=30)
        assert sock.recv(1000) == b"STATUS=loading READY=1\nEXTEND_TIMEOUT_USEC=30000000"
        notifier.ready("serving tiny")
        assert sock.recv(1000) == b"READY=1\nSTATUS=serving tiny"
        notifier.stopping("draining")
        assert sock.recv(1000) == b"STOPPING=1\nSTATUS=draining"


def test_nobody_listens(tmp_path: Path) -> None:
    Notifier("").ready("fine")
    Notifier(str(tmp_path / "none")).ready("fine")


async def test_what_must_not_be_lost_waits_for_a_manager_that_does_not_read(tmp_path: Path) -> None:
    name = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        sock.setblocking(False)
        notifier = Notifier(name)
        for number in range(1000):  # far more than a socket holds
            notifier.status(f"loading {number}")
        notifier.ready("serving tiny")
        notifier.status("of no account now")
        notifier.stopping("draining")
        found: list[bytes] = []
        while not found or not found[-1].startswith(b"STOPPING"):
            with contextlib.suppress(BlockingIOError):
                while True:
                    found.append(sock.recv(1000))
            await asyncio.sleep(0.01)
    assert found[-2:] == [b"READY=1\nSTATUS=serving tiny", b"STOPPING=1\nSTATUS=draining"]
