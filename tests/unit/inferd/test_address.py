"""Who asks: what a proxy may say, and what anybody else may not."""

from __future__ import annotations

from typing import Any

import pytest

from aiconsole.onhost.inferd.access.address import Addresses, Networks, is_of_this_machine
from aiconsole.onhost.inferd.access.address import ProxyHeader as Header

TRUSTED = ["10.0.0.0/8", "fd00::/8"]


def _scope(
    peer: str, *headers: tuple[str, str], server: tuple[str, int] | None = ("127.0.0.1", 8000)
) -> dict[str, Any]:
    found = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return {"client": (peer, 1) if peer else None, "headers": found, "server": server}


@pytest.mark.parametrize(
    ("peer", "value", "client"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.0.0.1", "2001:DB8:0::7", "2001:db8::7"),
        ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        # What the client itself wrote stands on the left, and is never reached.
        ("10.0.0.1", "127.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "10.9.9.9, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "<script>, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.7, fd00::1", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.7", "10.0.0.9"),
        # What a trusted proxy wrote cannot be read.
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", ",,,", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9 198.51.100.1", "10.0.0.1"),
        ("10.0.0.1", "0x7f000001", "10.0.0.1"),
        ("10.0.0.1", ", ".join(["10.0.0.2"] * 100), "10.0.0.1"),
        # Nobody whom the settings do not name is believed.
        ("203.0.113.50", "127.0.0.1", "203.0.113.50"),
        ("127.0.0.1", "203.0.113.9", "127.0.0.1"),
        ("::ffff:203.0.113.50", "127.0.0.1", "203.0.113.50"),
        ("fe80::1%eth0", "127.0.0.1", "fe80::1"),
        ("", "127.0.0.1", ""),
    ],
)
def test_forwarded_for(peer: str, value: str, client: str) -> None:
    addresses = Addresses(TRUSTED, "X-Forwarded-For")
    assert addresses.client_of(_scope(peer, ("X-Forwarded-For", value))) == client


def test_several_headers_are_one_list() -> None:
    headers = [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", "203.0.113.9")]
    assert Addresses(TRUSTED, "X-Forwarded-For").client_of(_scope("10.0.0.1", *headers)) == (
        "203.0.113.9"
    )


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ('For="203.0.113.9:80";proto=https', "203.0.113.9"),
        ('proto=http; for="[2001:db8::7]:80" ;by=10.0.0.1', "2001:db8::7"),
        ("for=127.0.0.1, for=203.0.113.9;by=10.0.0.1", "203.0.113.9"),
        ('for="127.0.0.1, for=203.0.113.9', "203.0.113.9"),
        ("for=203.0.113.9, for=10.0.0.2", "203.0.113.9"),
        ("for=_hidden", "10.0.0.1"),
        ("for=unknown", "10.0.0.1"),
        ("by=203.0.113.9", "10.0.0.1"),
        ("203.0.113.9", "10.0.0.1"),
        ("xfor=203.0.113.9", "10.0.0.1"),
        ('for="203.0.113.9', "10.0.0.1"),
    ],
)
def test_forwarded(value: str, client: str) -> None:
    addresses = Addresses(TRUSTED, "Forwarded")
    assert addresses.client_of(_scope("10.0.0.1", ("Forwarded", value))) == client


@pytest.mark.parametrize("believed", ["X-Forwarded-For", "Forwarded"])
def test_only_the_header_that_the_proxy_writes_is_looked_at(believed: Header) -> None:
    """The other one comes from the client as it is."""
    headers = [("X-Forwarded-For", "203.0.113.1"), ("Forwarded", "for=203.0.113.2")]
    expected = {"X-Forwarded-For": "203.0.113.1", "Forwarded": "203.0.113.2"}
    addresses = Addresses(TRUSTED, believed)
    assert addresses.client_of(_scope("10.0.0.1", *headers)) == expected[believed]
    del headers[0 if believed == "X-Forwarded-For" else 1]
    assert addresses.client_of(_scope("10.0.0.1", *headers)) == "10.0.0.1"


def test_networks() -> None:
    networks = Networks(["10.0.0.0/8", "192.0.2.7", "::ffff:198.51.100.0/120", "2001:db8::/32"])
    for inside in ("10.255.0.1", "::ffff:10.0.0.1", "192.0.2.7", "198.51.100.9", "2001:db8::1"):
        assert inside in networks
    for outside in ("11.0.0.1", "192.0.2.8", "198.51.101.1", "2001:db9::1", "::1", "", "10.0.0"):
        assert outside not in networks
    assert "127.0.0.1" not in Networks([])
    assert not Networks([])


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.0.0.5"])
def test_of_this_machine(peer: str) -> None:
    here = ("10.0.0.5", 8000)
    assert is_of_this_machine(_scope(peer, server=here))
    for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        assert not is_of_this_machine(_scope(peer, (name, "127.0.0.1"), server=here))


@pytest.mark.parametrize("peer", ["", "10.0.0.6", "::ffff:10.0.0.1", "128.0.0.1", "localhost"])
def test_of_another_machine(peer: str) -> None:
    assert not is_of_this_machine(_scope(peer, server=("10.0.0.5", 8000)))
    assert not is_of_this_machine(_scope(peer, server=None))
