"""Parses listening TCP sockets: `ss -Hltnp`, or /proc/net/tcp where ss is not there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_SS = re.compile(
    r"^LISTEN\s+\d+\s+\d+\s+(?P<address>\S+):(?P<port>\d+)\s+\S+(?:\s+users:\(\(\"(?P<program>[^\"]*))?"
)
_PROC = re.compile(
    r"^\s*\d+:\s+(?P<address>[0-9A-F]{8}|[0-9A-F]{32}):(?P<port>[0-9A-F]{4})\s+\S+\s+0A\s"
)


def parse_listeners(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield address, port and program (empty where it is not visible); skip what is neither."""
    for line in text.splitlines():
        if matched := _SS.match(line):
            address = matched["address"].strip("[]").partition("%")[0]
            yield address.replace("*", "0.0.0.0"), int(matched["port"]), matched["program"] or ""  # noqa: S104
        elif matched := _PROC.match(line):
            yield _address(matched["address"]), int(matched["port"], 16), ""


def _address(digits: str) -> str:
    """Turn the kernel's words, each of which it writes little-endian, into an address."""
    raw = bytes.fromhex(digits)
    turned = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    return str(ipaddress.ip_address(turned))
