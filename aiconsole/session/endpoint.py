"""Where a session leads, as a value: everything that is needed to log in, and nothing secret."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

SSH_PORT = 22

EndpointKind: TypeAlias = Literal["local", "ssh"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One login on one host; equal endpoints share a connection."""

    host_name: str
    """The host's name in the fleet, as the operator knows it."""
    kind: EndpointKind = "ssh"
    """`local` is this machine and never uses SSH."""
    address: str = ""
    """Name or IP address to connect to."""
    port: int = SSH_PORT
    user: str = ""
    """Login user."""
    ssh_name: str = ""
    """The name that `Host` patterns of ssh_config are matched with."""
    identity_files: tuple[str, ...] = ()
    """Private keys to offer; empty for the usual ones in ~/.ssh."""
    identities_only: bool = False
    """True where the agent may offer no key but those of `identity_files`."""
    via: Endpoint | None = None
    """The jump host, itself perhaps behind another one."""
    config_files: tuple[Path, ...] = ()
    """ssh_config files that may add ciphers, proxy commands and the like."""
    known_hosts_files: tuple[Path, ...] = ()
    """Files with trusted host keys that are read and never written."""
    host_key_alias: str = ""
    """Name under which the host's key is kept, where ssh_config says one."""

    @classmethod
    def local(cls, host_name: str = "localhost", user: str = "") -> Endpoint:
        """This machine."""
        return cls(host_name=host_name, kind="local", user=user)

    @property
    def key_name(self) -> str:
        """The host's name in a known_hosts file: `name`, or `[name]:port`."""
        name = self.host_key_alias or self.address
        return name if self.port == SSH_PORT else f"[{name}]:{self.port}"

    def __str__(self) -> str:
        if self.kind == "local":
            return f"{self.host_name} (this machine)"
        port = "" if self.port == SSH_PORT else f":{self.port}"
        return f"{self.host_name} ({self.user}@{self.address}{port})"
