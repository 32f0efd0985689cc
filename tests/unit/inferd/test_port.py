"""Who listens on a port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.engine.port import Holder, free_port, holders


@pytest.mark.parametrize(
    ("family", "address", "loopback"),
    [
        (socket.AF_INET, "127.0.0.1", True),
        (socket.AF_INET, "0.0.0.0", False),
        (socket.AF_INET6, "::1", True),
        (socket.AF_INET6, "::", False),
        (socket.AF_INET6, "::ffff:127.0.0.1", True),
    ],
)
def test_real_listeners(family: socket.AddressFamily, address: str, loopback: bool) -> None:
    port = free_port()
    with socket.socket(family) as sock:
        sock.bind((address, port))
        assert holders(port) == []  # bound is not listening
        sock.listen()
        assert holders(port) == [Holder(os.getuid(), loopback)]
        assert not holders(port)[0].stranger
    assert holders(port) == []


def test_a_port_that_no_outgoing_connection_is_given(tmp_path: Path) -> None:
    begin = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = {free_port() for _ in range(20)}
    assert len(ports) > 1
    assert all(0 < port < begin for port in ports)
    wide = tmp_path / "range"
    wide.write_text("1024\t65000\n")
    assert free_port(wide) > 0
    assert free_port(tmp_path / "none") > 0


def test_another_user_is_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  4242 0 1\n"
    )
    (holder,) = holders(8080, tmp_path)
    assert holder == Holder(4242, loopback=True)
    assert holder.stranger
    assert holders(8081, tmp_path) == []
