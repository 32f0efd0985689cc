"""Reads ssh_config through asyncssh's own parser and returns plain values."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.config import SSHClientConfig
from asyncssh.pattern import WildcardPatternList

from aiconsole.errors import SettingsError
from aiconsole.session.endpoint import SSH_PORT

_USER_KNOWN_HOSTS = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]
_GLOBAL_KNOWN_HOSTS = ["/etc/ssh/ssh_known_hosts"]


@dataclass(frozen=True, slots=True)
class OpensshSettings:
    """What ssh_config says about one name."""

    address: str
    """HostName, or the name itself."""
    port: int
    user: str
    """User, or the name of the local user."""
    identity_files: tuple[str, ...]
    proxy_jump: str
    """`[user@]host[:port]`, several with commas; empty for none."""
    known_hosts_files: tuple[Path, ...]
    """UserKnownHostsFile and GlobalKnownHostsFile, or OpenSSH's usual ones."""
    host_key_alias: str
    named: bool
    """True where a `Host` pattern other than a bare `*` matches the name."""


class _NotingConfig(SSHClientConfig):
    """asyncssh's parser, which also notes the `Host` patterns that it meets."""

    def __init__(self, *args: Any) -> None:
        self.patterns: list[str] = []
        super().__init__(*args)

    def _note_host(self, option: str, args: list[str]) -> None:
        self.patterns.extend(args)
        self._match_host(option, args)

    _handlers = {**SSHClientConfig._handlers, "host": ("Host", _note_host)}


def read_openssh(
    name: str, files: Sequence[Path], *, user: str = "", port: int = 0
) -> OpensshSettings:
    """Resolve a name, with a user and a port that stand above the files.

    Raises:
        SettingsError: A file has an error; the detail names file and line.
    """
    config = _load(name, files, user, port)
    known_hosts = [*(_words(config.get("UserKnownHostsFile")) or _USER_KNOWN_HOSTS)]
    known_hosts += _words(config.get("GlobalKnownHostsFile")) or _GLOBAL_KNOWN_HOSTS
    return OpensshSettings(
        address=str(config.get("Hostname") or name),
        port=int(str(config.get("Port") or SSH_PORT)),
        user=str(config.get("User") or getpass.getuser()),
        identity_files=tuple(_words(config.get("IdentityFile"))),
        proxy_jump=str(config.get("ProxyJump") or ""),
        known_hosts_files=tuple(Path(path).expanduser() for path in known_hosts),
        host_key_alias=str(config.get("HostKeyAlias") or ""),
        named=any(_covers(pattern, name) for pattern in config.patterns),
    )


def openssh_aliases(files: Sequence[Path]) -> tuple[str, ...]:
    """Names that stand in `Host` lines without a wildcard, in the files' order."""
    patterns = _load("*", files, "", 0).patterns
    return tuple(dict.fromkeys(name for name in patterns if not set(name) & set("*?!")))


def _load(name: str, files: Sequence[Path], user: str, port: int) -> _NotingConfig:
    readable = [path for path in files if path.is_file()]
    local_user = getpass.getuser()
    # asyncssh's sign for "not given" is the empty tuple.
    given: list[Any] = [local_user, user or (), name, port or ()]
    try:
        config = _NotingConfig.load(None, readable, False, False, False, *given)
        if config.has_match_final():
            config = _NotingConfig.load(None, readable, False, False, True, *given)
    except (asyncssh.ConfigParseError, OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            "The ssh_config cannot be read", str(error), "Correct that line, or remove it."
        ) from error
    assert isinstance(config, _NotingConfig)
    return config


def _covers(pattern: str, name: str) -> bool:
    return pattern != "*" and not pattern.startswith("!") and bool(
        WildcardPatternList(pattern).matches(name)
    )  # fmt: skip


def _words(value: object) -> list[str]:
    """A setting of several words as a list; empty where it is not set."""
    if isinstance(value, str):
        return [value]
    return [str(word) for word in value] if isinstance(value, list) else []
