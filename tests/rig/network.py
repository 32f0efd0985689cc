"""A rig's network: one bridge with a subnet of its own; only this machine reaches it."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from tests.rig.execute import RigError, attempt, execute
from tests.rig.place import ROOT

SUBNETS = "10.213.{}.0/24"


@dataclass(frozen=True, slots=True)
class Network:
    """A bridge on this machine. The hosts on it have no gateway, so no way out."""

    bridge: str
    """The bridge's interface name."""
    third: int
    """The third number of the subnet's addresses."""

    @property
    def gateway(self) -> str:
        """The address of this machine on the bridge."""
        return f"10.213.{self.third}.1"

    @property
    def mac(self) -> str:
        """The bridge's hardware address; fixed, so that hosts never have to ask for it."""
        return f"02:a1:c0:00:{self.third:02x}:01"

    def address(self, index: int) -> str:
        """The address of the host with this index, from 1."""
        return f"10.213.{self.third}.{9 + index}"

    def up(self) -> None:
        """Make the bridge, with one port that is always live.

        Without it the bridge loses its carrier whenever no host forwards, and a black hole
        would look like a pulled cable.
        """
        live = f"{self.bridge}-l"
        bridge = ["type", "bridge", "stp_state", "0", "mcast_snooping", "0"]
        execute(["ip", "link", "add", self.bridge, "address", self.mac, *bridge])
        Path(f"/proc/sys/net/ipv6/conf/{self.bridge}/disable_ipv6").write_text("1")
        execute(["ip", "link", "add", live, "type", "veth", "peer", "name", f"{self.bridge}-m"])
        for command in (
            ["set", live, "master", self.bridge, "up"],
            ["set", f"{self.bridge}-m", "up"],
        ):
            execute(["ip", "link", *command])
        execute(["ip", "address", "add", f"{self.gateway}/24", "dev", self.bridge])
        execute(["ip", "link", "set", self.bridge, "up"])

    def know(self, address: str, mac: str) -> None:
        """Pin a host's hardware address: a host that is cut off stays silent, not unroutable."""
        pinned = ["lladdr", mac, "dev", self.bridge, "nud", "permanent"]
        execute(["ip", "neighbour", "replace", address, *pinned])

    def down(self) -> None:
        """Take the bridge away; it may be gone already."""
        attempt(["ip", "link", "delete", f"{self.bridge}-l"])
        attempt(["ip", "link", "delete", self.bridge])


def claim(rig: str) -> Network:
    """Choose a subnet that nothing on this machine uses, and note it down for the rig.

    Call it on the building site only.

    Raises:
        RigError: All 250 are in use.
    """
    routes = json.loads(execute(["ip", "-json", "-4", "route", "show", "table", "all"]))
    used = [
        ipaddress.ip_network(route["dst"], strict=False)
        for route in routes
        if route["dst"] != "default"
    ]
    used += [
        ipaddress.ip_network(SUBNETS.format(known(name.parent.name).third)) for name in _notes()
    ]
    for third in range(1, 251):
        subnet = ipaddress.ip_network(SUBNETS.format(third))
        if not any(subnet.overlaps(other) for other in used):
            network = Network(bridge=f"aic-{rig}", third=third)
            (ROOT / rig / "network").write_text(f"{third}\n")
            return network
    raise RigError(f"no free subnet of {SUBNETS.format('*')} is left; `python -m tests.rig list`")


def known(rig: str) -> Network:
    """The network that an existing rig has claimed."""
    return Network(bridge=f"aic-{rig}", third=int((ROOT / rig / "network").read_text()))


def _notes() -> list[Path]:
    return list(ROOT.glob("*/network"))
