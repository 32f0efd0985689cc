"""The probes of a swap, towards sockets that speak plainly, in TLS, or not at all."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiconsole.onhost.runner.watch import Noticed, Watch
from tests.fixtures.certificate import server_context

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@contextlib.contextmanager
def answering(tls: ssl.SSLContext | None, answer: bytes = ANSWER) -> Iterator[str]:
    """A server that answers each connection once."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):  # Who speaks another way is cut off.
                client = listener.accept()[0]
                client.settimeout(5)
                with tls.wrap_socket(client, server_side=True) if tls else client as client:
                    client.recv(4096)
                    client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        thread.join()
        listener.close()


def noticed(address: str, *, tls: bool) -> Noticed:
    """What a watch notices until it has probed three times."""
    with Watch(address, 5.0, tls=tls) as watch:
        deadline = time.monotonic() + 20
        while watch.noticed.probes < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    return watch.noticed


@pytest.mark.parametrize("spoken", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_an_answer_counts_in_either_way_of_speaking(
    tmp_path: Path, spoken: bool, known: bool
) -> None:
    """A swap may go from the one to the other, and the watch begins with what was there."""
    with answering(server_context(tmp_path) if spoken else None) as address:
        assert noticed(address, tls=known).failed == 0


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_that_is_cut_or_refused_has_failed(tls: bool) -> None:
    with answering(None, b"") as address:
        cut = noticed(address, tls=tls)
    assert cut.failed == cut.probes
    refused = noticed(address, tls=tls)
    assert refused.failed == refused.probes


def test_an_answer_of_a_broken_server_has_failed() -> None:
    with answering(None, ANSWER.replace(b"200", b"502")) as address:
        seen = noticed(address, tls=False)
    assert seen.failed == seen.probes
