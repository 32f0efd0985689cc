"""What an operator chooses for a deploy."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from aiconsole.control.swap_mode import SwapWish
from aiconsole.errors import SettingsError

DEFAULT_DRAIN_S = 60.0

DEFAULT_ADDRESS = "127.0.0.1:8480"
"""Loopback, and a port that no other server of this field takes by default."""


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """The choices of one deploy; the same for every host of it."""

    model: Path | None = None
    """A GGUF file on the console's machine; None keeps what the host serves, or the built-in."""
    model_name: str = ""
    """The name that clients ask for; empty takes the file's."""
    listen: str = ""
    """`address:port`; empty keeps what the host has, or the default."""
    new_key: bool = False
    """Make a new client key in place of all that were given out, for a key that got lost."""
    slots: int = 0
    """Requests that run at once; 0 lets the daemon choose."""
    context_tokens: int = 0
    """0 takes the model's own."""
    drain_timeout_s: float = DEFAULT_DRAIN_S
    settings: Path | None = None
    """The operator's TOML file; None keeps what the host was told last, `none` forgets it."""
    credentials: tuple[str, ...] = ()
    """`NAME=FILE` or `NAME=-`, of secrets that the settings name."""
    watch_s: float | None = None
    """How long the release is looked at after it took over; None is what the settings say, 0 not at
    all."""
    swap: SwapWish = "auto"
    plan_only: bool = False
    yes: bool = False
    batch: int = 1
    """Hosts at work at the same time."""


def parse_address(text: str) -> tuple[str, int]:
    """Split `address:port`, `[v6]:port` or `:port` (all addresses).

    Raises:
        SettingsError: It is not an IP address with a port between 1 and 65535.
    """
    host, colon, port = text.rpartition(":")
    host = host.strip("[]") or "0.0.0.0"  # noqa: S104 - an empty address means every one
    try:
        ipaddress.ip_address(host)
        number = int(port) if colon and port.isascii() and port.isdecimal() else 0
    except ValueError:
        number = 0
    if not 0 < number < 65536:
        raise SettingsError(
            f"{text or 'an empty text'} is not an address to listen on",
            "Expected is an IP address and a port",
            "For example 127.0.0.1:8480, or 0.0.0.0:8480 for every address of the host",
        )
    return host, number


def is_loopback(address: str) -> bool:
    """True where only the host itself reaches `address:port`."""
    return ipaddress.ip_address(parse_address(address)[0]).is_loopback


def loopback_address(address: str) -> tuple[str, int]:
    """Where the host itself finds the service: an unspecified address answers on loopback."""
    host, port = parse_address(address)
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1" if "." in host else "::1"
    return host, port


def service_url(address: str, host_address: str = "", *, tls: bool = False) -> str:
    """The service as a client reaches it.

    Args:
        address: What the service listens on.
        host_address: Name or IP address by which other machines know the host; it stands for
            "all addresses". Empty gives the URL for clients on the host itself.
        tls: Whether the service speaks TLS.
    """
    host, port = loopback_address(address)
    if host_address and ipaddress.ip_address(parse_address(address)[0]).is_unspecified:
        host = host_address
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@dataclass(frozen=True, slots=True)
class RestartOptions:
    """The choices of a restart, rollback, stop or start."""

    release_id: str = ""
    """For a rollback; empty takes the previous one."""
    drain_timeout_s: float = DEFAULT_DRAIN_S
    swap: SwapWish = "auto"
    plan_only: bool = False
    yes: bool = False
