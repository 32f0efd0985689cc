"""A host of the fleet, as a value."""

from __future__ import annotations

import getpass
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from aiconsole.errors import SettingsError
from aiconsole.session.endpoint import Endpoint

RuntimeChoice: TypeAlias = Literal["auto", "systemd", "keeper"]

LOCALHOST = "localhost"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LOGIN = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\s@]+))"
                    r"(?::(?P<port>\d{1,5}))?")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Host:
    """One machine; empty fields are filled from ssh_config when a session is opened."""

    name: str
    """Unique in the fleet."""
    address: str = ""
    """Name, alias of ssh_config or IP address; empty where it is the name."""
    user: str = ""
    port: int = 0
    """0 where ssh_config or the standard decides."""
    identity_files: tuple[str, ...] = ()
    """Private keys to offer instead of the usual ones."""
    proxy_jump: str = ""
    """A host of the fleet, an alias, or `[user@]address[:port]`; several with commas."""
    groups: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    protected: bool = False
    """True where a destructive act wants the host's name typed."""
    runtime: RuntimeChoice = "auto"
    jumps: tuple[Host, ...] = ()
    """The hosts of `proxy_jump`, nearest to the console first."""

    @property
    def is_local(self) -> bool:
        """True for this machine."""
        return self.name == LOCALHOST

    @property
    def endpoint(self) -> Endpoint:
        """Where a session for this host leads.

        Raises:
            SettingsError: ssh_config is wrong.
        """
        # Late: the way is made of hosts, too.
        from aiconsole.fleet.way import endpoint_of

        if self.is_local:
            return Endpoint.local(self.name, getpass.getuser())
        return endpoint_of(self)

    @property
    def destination(self) -> str:
        """`user@address:port` as far as the inventory knows it."""
        if self.is_local:
            return "this machine"
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{user}{self.address or self.name}{port}"


def check_name(name: str) -> str:
    """Return a name that a host may have.

    Raises:
        SettingsError: It has other characters than letters, digits, dot, dash, underscore.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name or 'Nothing'} cannot be the name of a host",
            "Expected are letters, digits, dot, dash and underscore, at most 63, "
            "beginning with a letter or digit",
            "Choose a short name, and give the address beside it: "
            "aiconsole hosts add web1 root@10.0.0.5",
        )
    return name


def parse_login(text: str) -> tuple[str, str, int]:
    """Split `[user@]address[:port]`; an IPv6 address with a port stands in brackets.

    Raises:
        SettingsError: It is something else.
    """
    matched = _LOGIN.fullmatch(text)
    user, _, address = text.rpartition("@")
    if matched is None and _is_ipv6(address):
        return user, address, 0
    port = int(matched["port"] or 0) if matched else 0
    if matched is None or port > 65535 or text.startswith("-"):
        raise SettingsError(
            f"{text} is not an address to log in to",
            "Expected is [user@]address[:port]",
            "For example root@10.0.0.5, admin@web1.example.com:2222 or root@[fd00::5]:22",
        )
    return matched["user"] or "", matched["v6"] or matched["host"], port


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
