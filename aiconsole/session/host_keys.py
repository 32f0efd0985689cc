"""Trusted host keys: the console's own file, and the user's known_hosts, which is only read.

A key that the operator accepted here stands above the user's files: for a host of the own file
nothing else counts, so that a replaced key is really replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aiconsole.errors import SettingsError
from aiconsole.paths import known_hosts_file, write_atomic
from aiconsole.session.endpoint import SSH_PORT, Endpoint

if TYPE_CHECKING:
    # At run time only where a key is read: commands that contact nobody do without asyncssh.
    import asyncssh


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key, as one can compare and store it."""

    host_name: str
    """The host that showed it, by its name in the fleet."""
    key_name: str
    """The name to store it under: `address` or `[address]:port`."""
    algorithm: str
    public_key: str
    """`algorithm base64`, as in a known_hosts line."""
    fingerprint: str
    """`SHA256:...` as `ssh-keygen -l` prints it."""

    @classmethod
    def of(cls, endpoint: Endpoint, key: asyncssh.SSHKey) -> HostKey:
        """Describe a key that a host showed."""
        words = key.export_public_key("openssh").decode().split()
        return cls(
            endpoint.host_name, endpoint.key_name, words[0], " ".join(words[:2]),
            key.get_fingerprint(),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trusted:
    """What is trusted for one host."""

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    """Keys that may sign host certificates."""
    revoked: tuple[asyncssh.SSHKey, ...] = ()
    sources: tuple[Path, ...] = field(default=())
    """The files in which the keys stand."""

    def as_lists(self) -> tuple[Sequence[asyncssh.SSHKey], ...]:
        """The three lists that asyncssh expects."""
        return list(self.keys), list(self.authorities), list(self.revoked)


class HostKeys:
    """Looks keys up, and changes the console's own file."""

    def __init__(self, own_file: Path | None = None) -> None:
        self._own_file = known_hosts_file() if own_file is None else own_file
        self._shown: dict[str, HostKey] = {}

    @property
    def own_file(self) -> Path:
        """The file that the console writes."""
        return self._own_file

    def lookup(self, endpoint: Endpoint) -> Trusted:
        """Collect what is trusted for a host.

        Raises:
            SettingsError: A known_hosts file cannot be understood.
        """
        own = _match(self._own_file, endpoint)
        others = [_match(path, endpoint) for path in endpoint.known_hosts_files]
        chosen = [own] if own.keys else others
        everything = [own, *others]
        return Trusted(
            keys=_flat(found.keys for found in chosen),
            authorities=_flat(found.authorities for found in everything),
            revoked=_flat(found.revoked for found in everything),
            sources=tuple(path for found in chosen if found.keys for path in found.sources),
        )

    def note(self, key: HostKey) -> None:
        """Remember a key that a host has just shown, so that it can be accepted."""
        self._shown[key.fingerprint] = key

    def accept(self, fingerprint: str) -> HostKey:
        """Trust the key that a host showed with this fingerprint, and store it.

        Raises:
            KeyError: No host showed such a key.
        """
        key = self._shown.pop(fingerprint)
        self.add(key)
        return key

    def add(self, key: HostKey) -> None:
        """Trust a key for its host, and no other key of that host from the own file."""
        kept = self._without(key.key_name)
        self._write([*kept, f"{key.key_name} {key.public_key} {key.host_name}"])

    def remove(self, key_name: str) -> int:
        """Forget the own file's keys of a host; return how many there were."""
        before = self._lines()
        after = self._without(key_name)
        if len(after) != len(before):
            self._write(after)
        return len(before) - len(after)

    def _without(self, key_name: str) -> list[str]:
        return [line for line in self._lines() if not _names(line, key_name)]

    def _lines(self) -> list[str]:
        try:
            return self._own_file.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _write(self, lines: list[str]) -> None:
        write_atomic(self._own_file, "".join(f"{line}\n" for line in lines).encode(), 0o600)


def fingerprint_of(public_key: str) -> str:
    """Return the SHA256 fingerprint of an OpenSSH public key line.

    Raises:
        ValueError: It is not a public key.
    """
    import asyncssh

    return asyncssh.import_public_key(public_key).get_fingerprint()


def _match(path: Path, endpoint: Endpoint) -> Trusted:
    """Match one file; names are matched, not what they resolve to, as an address may be reused."""
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return Trusted()
    import asyncssh

    try:
        hosts = asyncssh.import_known_hosts(content)
        port = None if endpoint.port == SSH_PORT else endpoint.port
        name = endpoint.host_key_alias or endpoint.address
        keys, authorities, revoked, *_ = hosts.match(name, "", port)
    except ValueError as error:
        raise SettingsError(
            f"{path} is not a known_hosts file", str(error), "Correct or remove that line."
        ) from error
    return Trusted(tuple(keys), tuple(authorities), tuple(revoked), (path,))


def _names(line: str, key_name: str) -> bool:
    """True where a line of the own file, which holds plain names only, is about this host."""
    words = line.split()
    return bool(words) and key_name in words[0].split(",")


def _flat(groups: Iterable[tuple[asyncssh.SSHKey, ...]]) -> tuple[asyncssh.SSHKey, ...]:
    return tuple(key for group in groups for key in group)
