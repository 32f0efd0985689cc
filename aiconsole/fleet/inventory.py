"""hosts.toml: the hosts of the fleet, edited by people and by `aiconsole hosts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from aiconsole.errors import SettingsError, UnknownHostError
from aiconsole.fleet.host import LOCALHOST, Host
from aiconsole.fleet.hosts_file import HostEntry, read_hosts
from aiconsole.fleet.ssh_config import SshConfig
from aiconsole.paths import hosts_file, write_atomic

_HEAD = (
    "The fleet of aiconsole. Each host has a table:\n"
    "\n"
    "[hosts.web1]\n"
    'address = "10.0.0.5"        # name, alias of ssh_config, or IP address\n'
    'user = "root"\n'
    "port = 22\n"
    'identity_files = ["~/.ssh/id_ed25519"]\n'
    'proxy_jump = "bastion"      # another host of this file, or [user@]address[:port]\n'
    'groups = ["gpu"]            # chosen as @gpu\n'
    'tags = { env = "prod" }     # chosen as env=prod\n'
    "protected = true            # destructive acts want the name typed\n"
    'runtime = "auto"            # auto, systemd or keeper'
)


class Inventory:
    """The fleet as it was last read without an error; `localhost` is always part of it."""

    def __init__(self, file: Path, config: SshConfig, entries: Mapping[str, HostEntry]) -> None:
        self._file = file
        self._config = config
        self._hosts = _linked(entries, config)

    @classmethod
    def load(cls, file: Path | None = None, config: SshConfig | None = None) -> Inventory:
        """Read hosts.toml; a missing file is an empty fleet.

        Raises:
            SettingsError: The file is wrong; the detail names file, line and what was expected.
        """
        file = hosts_file() if file is None else file
        return cls(file, config or SshConfig.of_user(), read_hosts(file))

    def reload(self) -> None:
        """Read the file again; after an error the last good state stays in force.

        Raises:
            SettingsError: The file is wrong.
        """
        self._hosts = _linked(read_hosts(self._file), self._config)

    @property
    def file(self) -> Path:
        """The file that holds the fleet."""
        return self._file

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Every host of the file in its order, then `localhost`."""
        return tuple(self._hosts.values())

    def get(self, name: str) -> Host:
        """Return a host of the fleet, or an alias of ssh_config.

        Raises:
            UnknownHostError: It is neither; the hint has the nearest name.
        """
        host = self._hosts.get(name) or self._config.host(name)
        if host is None:
            raise self._unknown(name)
        return host

    def has(self, name: str) -> bool:
        """True where the name stands in the file (or is localhost)."""
        return name in self._hosts

    def prepare(self, host: Host) -> Host:
        """Return a host that is not stored yet with its jump hosts looked up."""
        return replace(host, jumps=_jumps(host, self._hosts, self._config))

    def add(self, host: Host) -> None:
        """Store a host, or replace the one of that name; comments of the file stay.

        Raises:
            SettingsError: The file is wrong, so that it is not touched.
        """
        document = self._document()
        hosts = document.setdefault("hosts", tomlkit.table(is_super_table=True))
        hosts[host.name] = _table(host)
        self._store(document)

    def remove(self, name: str) -> None:
        """Take a host out of the file.

        Raises:
            UnknownHostError: The file has no such host.
            SettingsError: The file is wrong, so that it is not touched.
        """
        document = self._document()
        hosts = document.get("hosts", {})
        if name not in hosts:
            raise self._unknown(name)
        del hosts[name]
        self._store(document)

    def _document(self) -> tomlkit.TOMLDocument:
        read_hosts(self._file)
        try:
            return tomlkit.parse(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            document = tomlkit.document()
            for line in _HEAD.splitlines():
                document.add(tomlkit.comment(line) if line else tomlkit.comment(""))
            document.add(tomlkit.nl())
            return document
        except TOMLKitError as error:
            raise SettingsError(f"{self._file} is not TOML", str(error)) from error

    def _store(self, document: tomlkit.TOMLDocument) -> None:
        write_atomic(self._file, tomlkit.dumps(document).encode())
        self.reload()

    def _unknown(self, name: str) -> UnknownHostError:
        known = [*self._hosts, *self._config.aliases()]
        near = get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else "aiconsole hosts add brings it in."
        return UnknownHostError(
            f"There is no host {name}",
            f"neither in {self._file} nor in ssh_config",
            hint,
        )


def _linked(entries: Mapping[str, HostEntry], config: SshConfig) -> dict[str, Host]:
    """Make hosts of entries, each with its jump hosts, which may be hosts of the file too."""
    plain = {name: entry.host(name) for name, entry in entries.items()}
    plain.setdefault(LOCALHOST, Host(LOCALHOST))
    linked: dict[str, Host] = {}
    for name in plain:
        _link(name, plain, linked, config, ())
    return {name: linked[name] for name in plain}


def _link(
    name: str,
    plain: Mapping[str, Host],
    linked: dict[str, Host],
    config: SshConfig,
    before: tuple[str, ...],
) -> Host:
    if name in before:
        raise SettingsError(
            "The jump hosts go round in a circle",
            " -> ".join((*before, name)),
            "Correct proxy_jump in hosts.toml.",
        )
    if name not in linked:
        host = plain[name]
        near = {
            jump: _link(jump, plain, linked, config, (*before, name))
            for jump in _names(host.proxy_jump)
            if jump in plain
        }
        linked[name] = replace(host, jumps=_jumps(host, near, config))
    return linked[name]


def _jumps(host: Host, known: Mapping[str, Host], config: SshConfig) -> tuple[Host, ...]:
    found: list[Host] = []
    for name in _names(host.proxy_jump):
        found += [known[name]] if name in known else config.jumps(name)
    return tuple(found)


def _names(proxy_jump: str) -> Iterable[str]:
    return filter(None, (name.strip() for name in proxy_jump.split(",")))


def _table(host: Host) -> Any:
    """Write only what differs from the defaults."""
    table = tomlkit.table()
    for entry in fields(HostEntry):
        value = getattr(host, entry.name)
        if value:
            table[entry.name] = _plain(value)
    if table.get("runtime") == "auto":
        del table["runtime"]
    return table


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        inline.update(value)
        return inline
    return list(value) if isinstance(value, tuple) else value
