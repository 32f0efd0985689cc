"""What makes one host different from the tree: names, address, keys. Written before its boot."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.rig.execute import execute
from tests.rig.machine import Machine

KEY_TYPES = ("ed25519", "ecdsa")

NETWORK = """\
[Match]
Name=host0
[Network]
Address={address}/24
LinkLocalAddressing=no
IPv6AcceptRA=no
DHCP=no
LLMNR=no
[Neighbor]
Address={gateway}
LinkLayerAddress={mac}
"""


def plant(machine: Machine, public_key: str) -> None:
    """Write the host's own files; `boot.sh` lays them over the tree with owners and modes kept."""
    seed = machine.directory / "seed"
    network = NETWORK.format(
        address=machine.address, gateway=machine.network.gateway, mac=machine.network.mac
    )
    hosts = f"127.0.0.1 localhost\n{machine.address} {machine.name}\n"
    _file(seed / "etc/hostname", f"{machine.name}\n")
    _file(seed / "etc/hosts", hosts)
    _file(seed / "etc/resolv.conf", "# this host has no way out\n")
    _file(seed / "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    _file(seed / "etc/systemd/network/10-host0.network", network)
    _file(seed / "root/.ssh/authorized_keys", public_key, 0o600)
    for directory in ("root", "root/.ssh"):
        (seed / directory).chmod(0o700)
    (seed / "etc/ssh").mkdir()
    for kind in KEY_TYPES:
        path = seed / f"etc/ssh/ssh_host_{kind}_key"
        execute(["ssh-keygen", "-q", "-N", "", "-t", kind, "-C", machine.name, "-f", str(path)])


def _file(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
