"""Faults of the line between this machine and a host."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rig.execute import RigError, attempt, execute
from tests.rig.machine import Machine

WIRE = Path(__file__).with_name("wire.py")


class LinkFaults(Machine):
    """Makes the line long, dead, or cut. None of it reaches into the host's own state."""

    @property
    def _near(self) -> str:
        """The end of the long cable at the host's side."""
        return f"vc-{self.machine}"

    @property
    def _far(self) -> str:
        """The end of the long cable in the bridge."""
        return f"vd-{self.machine}"

    @contextmanager
    def delay(self, round_trip_ms: float) -> Iterator[None]:
        """Add this much to every round trip. A reboot within the block ends the delay."""
        execute(["ip", "link", "set", self.interface, "nomaster"])
        execute(["ip", "link", "add", self._near, "type", "veth", "peer", "name", self._far])
        bridge = self.network.bridge
        execute(["ip", "link", "set", self._near, "arp", "off", "up"])
        execute(["ip", "link", "set", self._far, "master", bridge, "up"])
        argv = [sys.executable, str(WIRE), self.interface, self._near, str(round_trip_ms / 2)]
        wire = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            with wire:
                assert wire.stdout is not None
                if wire.stdout.readline() != "carrying\n":
                    raise RigError("the long cable did not start")
                try:
                    yield
                finally:
                    wire.kill()
        finally:
            attempt(["ip", "link", "delete", self._near])
            attempt(["ip", "link", "set", self.interface, "master", bridge])

    @contextmanager
    def black_hole(self) -> Iterator[None]:
        """Drop every packet to and from the host, silently: no reset, no unreachable."""
        port = self._port()
        execute(["bridge", "link", "set", "dev", port, "state", "disabled"])
        try:
            yield
        finally:
            attempt(["bridge", "link", "set", "dev", port, "state", "forwarding"])

    def cut_connections(self) -> int:
        """Reset every SSH connection of the host; what it runs there lives on. Returns how many."""
        done = self.run(
            "ss", "-H", "-t", "-n", "-K", "state", "established", "sport = :22", check=True
        )
        return len(done.stdout.splitlines())

    @contextmanager
    def without_ssh(self) -> Iterator[None]:
        """Stop sshd, so that the port refuses; sessions that are open stay open."""
        self.run("systemctl", "stop", "ssh.service", check=True)
        try:
            yield
        finally:
            self.run("systemctl", "start", "ssh.service", check=True)

    def _port(self) -> str:
        """The port of the bridge that leads to the host now."""
        delayed = Path(f"/sys/class/net/{self._far}").exists()
        return self._far if delayed else self.interface
