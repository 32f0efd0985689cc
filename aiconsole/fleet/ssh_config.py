"""The operator's ssh_config as a source of hosts: every alias in it is a host to the console."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiconsole.fleet.host import Host, parse_login

if TYPE_CHECKING:
    # At run time only where a name is resolved: it brings all of asyncssh.
    from aiconsole.session.openssh_config import OpensshSettings


@dataclass(frozen=True, slots=True)
class SshConfig:
    """The files that are read, the operator's own first."""

    files: tuple[Path, ...]

    @classmethod
    def of_user(cls) -> SshConfig:
        """The files that OpenSSH's client reads."""
        return cls((Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")))

    def resolve(self, name: str, *, user: str = "", port: int = 0) -> OpensshSettings:
        """Return what the files say about a name; `user` and `port` stand above them.

        Raises:
            SettingsError: A file is wrong.
        """
        from aiconsole.session.openssh_config import read_openssh

        return read_openssh(name, self.files, user=user, port=port)

    def host(self, name: str) -> Host | None:
        """Return an alias as a host; None where no `Host` line but `*` is about this name."""
        return Host(name) if self.resolve(name).named else None

    def aliases(self) -> tuple[str, ...]:
        """Return the names that stand in `Host` lines without wildcards."""
        from aiconsole.session.openssh_config import openssh_aliases

        return openssh_aliases(self.files)

    def jumps(self, proxy_jump: str) -> tuple[Host, ...]:
        """Return the hosts of a ProxyJump line, the first one to be reached first."""
        hosts = []
        for text in filter(None, (part.strip() for part in proxy_jump.split(","))):
            user, address, port = parse_login(text.removeprefix("ssh://"))
            hosts.append(Host(address, user=user, port=port))
        return tuple(hosts)
