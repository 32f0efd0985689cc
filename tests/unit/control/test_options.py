"""Addresses as operators write them."""

from __future__ import annotations

import pytest

from aiconsole.control.options import is_loopback, parse_address, service_url
from aiconsole.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("127.0.0.1:8480", ("127.0.0.1", 8480)),
        (":8480", ("0.0.0.0", 8480)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_an_address_is_split(text: str, pair: tuple[str, int]) -> None:
    assert parse_address(text) == pair


@pytest.mark.parametrize(
    "text", ["", "8480", "web1:80", "1.2.3.4:0", "1.2.3.4:70000", "1.2.3.4:x", "1.2.3.4: 80"]
)
def test_what_is_no_address_is_refused_and_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_address(text)
    assert (text or "an empty text") in caught.value.title


def test_only_loopback_goes_without_a_key() -> None:
    assert is_loopback("127.0.0.2:1")
    assert is_loopback("[::1]:1")
    assert not is_loopback("0.0.0.0:1")


def test_the_url_is_one_that_the_host_itself_can_open() -> None:
    assert service_url("0.0.0.0:8480") == "http://127.0.0.1:8480"
    assert service_url("[::]:8480") == "http://[::1]:8480"


def test_all_addresses_are_told_as_the_one_that_clients_know() -> None:
    assert service_url("0.0.0.0:8480", "web1.example") == "http://web1.example:8480"
    assert service_url("127.0.0.1:8480", "web1.example") == "http://127.0.0.1:8480"
    assert service_url("10.0.0.5:8480", "web1.example") == "http://10.0.0.5:8480"
