"""A rig: a network of its own and the hosts on it. Several rigs live side by side."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from tests.rig import cgroup, needs
from tests.rig.execute import RigError, execute
from tests.rig.host import RigHost
from tests.rig.network import Network, claim, known
from tests.rig.place import ROOT, all_rigs, building_site, check_name, kept_mark, own
from tests.rig.tree import tree

MOST_HOSTS = 99
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_NEEDED = 1024
"""Each systemd takes several; the usual 128 end after a dozen hosts."""


class Rig:
    """Boots hosts and takes them away at its end.

    Attributes:
        name: The rig's name; interfaces, control groups and directories carry it.
        key_path: The private key that may log in to every host of the rig.
    """

    def __init__(self, name: str, network: Network, owner: IO[str]) -> None:
        self.name = name
        self.network = network
        self.key_path = ROOT / name / "key"
        self._owner = owner
        self._booted: dict[str, RigHost] = {}

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kept_mark(self.name).exists():
            self._owner.close()
        else:
            self.close()

    @property
    def hosts(self) -> list[RigHost]:
        """The hosts that are there now, by index; also those that another process booted."""
        notes = (ROOT / self.name / "hosts").glob("*/host.json")
        found = [self._host(path.parent.name, _index(path)) for path in notes]
        return sorted(found, key=lambda host: host.index)

    def host(self, name: str) -> RigHost:
        """The host of this name.

        Raises:
            RigError: There is none.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        raise RigError(f"rig {self.name} has no host {name!r}")

    def boot(self, *names: str) -> list[RigHost]:
        """Boot fresh hosts of these names at once, and wait until all are up."""
        present = self.hosts
        taken = {host.index for host in present}
        free = [index for index in range(1, MOST_HOSTS + 1) if index not in taken]
        for name in names:
            check_name(name, 30)
            if name in {host.name for host in present} or names.count(name) > 1:
                raise RigError(f"rig {self.name} has a host {name} already")
        if len(free) < len(names):
            raise RigError(f"rig {self.name} is full")
        hosts = [self._host(name, index) for name, index in zip(names, free, strict=False)]
        base = tree()
        try:
            for host in hosts:
                host.start(base)
            for host in hosts:
                host.wait_up()
        except BaseException:
            self.destroy(*hosts)
            raise
        self._write_ssh_files()
        return hosts

    def fresh(self, count: int) -> list[RigHost]:
        """Boot hosts with the next free names of the kind web1, web2."""
        taken = {host.name for host in self.hosts}
        names = (f"web{number}" for number in range(1, MOST_HOSTS + 1))
        return self.boot(*[name for name in names if name not in taken][:count])

    def destroy(self, *hosts: RigHost) -> None:
        """Take hosts away."""
        for host in hosts:
            host.destroy()
            self._booted.pop(host.name, None)
        self._write_ssh_files()

    def close(self) -> None:
        """Take everything of the rig away."""
        try:
            _demolish(self)
        finally:
            self._owner.close()

    def _host(self, name: str, index: int) -> RigHost:
        return self._booted.setdefault(name, RigHost(self.name, self.network, name, index))

    def _write_ssh_files(self) -> None:
        """Keep known_hosts and ssh_config beside the key, for people and for ssh itself."""
        home, hosts = ROOT / self.name, self.hosts
        (home / "known_hosts").write_text("".join(f"{h.known_hosts_line}\n" for h in hosts))
        (home / "ssh_config").write_text("\n".join(ssh_config(host) for host in hosts))


def ssh_config(host: RigHost) -> str:
    """The stanza of ssh_config that leads to a host."""
    return (
        f"Host {host.name}\n    HostName {host.address}\n    User root\n"
        f"    IdentityFile {host.key_path}\n    IdentitiesOnly yes\n"
        f"    UserKnownHostsFile {ROOT / host.rig / 'known_hosts'}\n"
    )


def open_rig(name: str | None = None, keep: bool = False) -> Rig:
    """Make a rig, or own one again that was kept; abandoned ones are removed on the way.

    Args:
        name: Up to 8 letters and digits; AICONSOLE_RIG, or one of this process, where None.
        keep: The rig outlives this process.

    Raises:
        RigError: It cannot run here, or another process owns a rig of this name.
    """
    reason = needs.missing()
    if reason:
        raise RigError(reason)
    chosen = check_name(name or os.environ.get("AICONSOLE_RIG") or f"p{os.getpid():x}", 8)
    with building_site():
        clean_up()
        rig = _adopt(chosen)
        if not (ROOT / chosen / "network").exists():
            rig = _build(chosen, rig)
    if keep:
        kept_mark(chosen).touch()
    return rig


def clean_up() -> None:
    """Remove the rigs whose owner is dead. Call it on the building site only."""
    for name in all_rigs():
        owner = None if kept_mark(name).exists() else own(name)
        if owner is None:
            continue
        with owner:
            if (ROOT / name / "network").exists():
                _demolish(Rig(name, known(name), owner))
            else:
                shutil.rmtree(ROOT / name)


def _adopt(name: str) -> Rig:
    owner = own(name)
    if owner is None:
        raise RigError(f"another process uses rig {name}; choose a name: AICONSOLE_RIG=mine")
    there = (ROOT / name / "network").exists()
    return Rig(name, known(name) if there else Network(f"aic-{name}", 0), owner)


def _build(name: str, adopted: Rig) -> Rig:
    if int(INOTIFY.read_text()) < INOTIFY_NEEDED:
        INOTIFY.write_text(str(INOTIFY_NEEDED))
    network = claim(name)
    network.down()
    network.up()
    comment = f"aiconsole-rig-{name}"
    key = str(ROOT / name / "key")
    execute(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-C", comment, "-f", key])
    return Rig(name, network, adopted._owner)


def _demolish(rig: Rig) -> None:
    """Take down by name what a rig of this name can have left, whoever booted it."""
    for host in rig.hosts:
        host.destroy()
    cgroup.remove(cgroup.group(rig.name))
    rig.network.down()
    shutil.rmtree(ROOT / rig.name, ignore_errors=True)


def _index(note: Path) -> int:
    index = json.loads(note.read_text())["index"]
    assert isinstance(index, int)
    return index


__all__: Sequence[str] = ("Rig", "clean_up", "open_rig", "ssh_config")
