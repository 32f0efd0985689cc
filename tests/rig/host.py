"""A host of the rig: a real Debian with systemd and sshd, that can be broken and taken away."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.rig import cgroup, seed
from tests.rig.execute import RigError, attempt
from tests.rig.faults import HostFaults
from tests.rig.link import LinkFaults
from tests.rig.place import cgroups
from tests.rig.ready import Ready
from tests.rig.users import Users

BOOT = Path(__file__).with_name("boot.sh")
DISK_SIZE = "4g"
BOOT_TIMEOUT_S = 60.0

NSPAWN = (
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--boot",
    "--settings=no",
    "--private-users=no",
    "--notify-ready=yes",
    "--console=pipe",
    "--resolv-conf=off",
    "--timezone=off",
    "--link-journal=no",
    "--kill-signal=SIGRTMIN+3",
)


class RigHost(Users, LinkFaults, HostFaults):
    """One booted host."""

    _launcher: subprocess.Popen[bytes] | None = None
    _ready: Ready | None = None

    @property
    def host_public_key(self) -> str:
        """The host's ed25519 key, as `ssh-ed25519 AAAA...`."""
        text = self.read("/etc/ssh/ssh_host_ed25519_key.pub")
        return " ".join(text.split()[:2])

    @property
    def known_hosts_line(self) -> str:
        """The line that makes ssh trust the host as it is now."""
        return f"{self.address} {self.host_public_key}"

    def start(self, tree: Path) -> None:
        """Begin to boot; `wait_up` ends it. So several hosts boot at once."""
        self.directory.mkdir(parents=True)
        note = {"index": self.index}
        (self.directory / "host.json").write_text(json.dumps(note))
        seed.plant(self, self.key_path.with_suffix(".pub").read_text())
        self._ready = Ready(self.directory / "notify")
        inside = self.group.relative_to(cgroups())
        argv = ["unshare", "--mount", "--propagation", "private", str(BOOT), str(self.directory)]
        argv += [str(tree), str(inside), DISK_SIZE, self.interface, *NSPAWN]
        argv += [f"--machine={self.machine}", f"--hostname={self.name}"]
        argv += ["--network-veth", f"--network-bridge={self.network.bridge}"]
        with (self.directory / "console.log").open("wb") as console:
            self._launcher = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={
                    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                    "NOTIFY_SOCKET": str(self.directory / "notify"),
                },
                start_new_session=True,
            )
        (self.directory / "launcher").write_text(str(self._launcher.pid))

    def wait_up(self) -> None:
        """Wait until systemd says that the host runs, without a failed unit, and has its address.

        Raises:
            RigError: It does not come up; the message holds what its console said.
        """
        assert self._ready is not None, "start() or reboot() comes first"
        try:
            with self._ready as ready:
                ready.wait(int((self.directory / "launcher").read_text()), BOOT_TIMEOUT_S)
        except RigError as error:
            console = (self.directory / "console.log").read_text(errors="replace")[-3000:]
            raise RigError(f"{self.name}: {error}; its console said:\n{console}") from error
        self._ready = None
        self.run("/lib/systemd/systemd-networkd-wait-online", "-i", "host0", check=True)
        state = self.run("systemctl", "is-system-running", "--wait").stdout.strip()
        if state != "running":
            failed = self.run("systemctl", "--failed", "--plain", "--no-legend").stdout
            raise RigError(f"{self.name} is {state}: {failed}")
        mac = self.read("/sys/class/net/host0/address").strip()
        self.network.know(self.address, mac)

    def reboot(self, power_cut: bool = False) -> None:
        """Boot the host again and wait until it is up; its disk stays.

        Args:
            power_cut: Kill everything on it at one stroke instead of shutting down.
        """
        self._ready = Ready(self.directory / "notify")
        if power_cut:
            cgroup.kill_all(self.group / "box")
        else:
            self.run("systemctl", "reboot")
        self.wait_up()

    def destroy(self) -> None:
        """Take the host away, with everything that ran or was stored on it."""
        if self.group.is_dir():
            # The launcher goes last by itself, so that it buries what it started.
            (self.directory / "gone").touch()
            cgroup.kill_all(self.group / "box")
            cgroup.wait_empty(self.group, 5)
        cgroup.remove(self.group)
        if self._launcher is not None:
            self._launcher.wait(timeout=10)
        if self._ready is not None:
            with self._ready:
                self._ready = None
        for interface in (self.interface, f"vc-{self.machine}"):
            attempt(["ip", "link", "delete", interface])
        shutil.rmtree(self.directory, ignore_errors=True)
