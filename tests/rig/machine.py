"""One machine of the rig as seen from outside: run a program in it, read and write its files.

Everything here enters the host's namespaces directly, so it works while the network is cut
or sshd is gone, and shares no code with what is under test.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.rig.cgroup import group, processes
from tests.rig.execute import RigError
from tests.rig.network import Network
from tests.rig.place import ROOT


class Machine:
    """A host's names and places, and the way in.

    Attributes:
        name: The host's name in the rig; also its hostname.
        address: Its IPv4 address, reachable from this machine only.
        port: The port of its sshd.
        key_path: The private key that may log in as root and as users added with a key.
    """

    port = 22

    def __init__(self, rig: str, network: Network, name: str, index: int) -> None:
        self.rig = rig
        self.network = network
        self.name = name
        self.index = index
        self.address = network.address(index)
        self.directory = ROOT / rig / "hosts" / name
        self.key_path = ROOT / rig / "key"
        self.machine = f"{rig}-{index}"
        self.interface = f"vb-{self.machine}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.address}>"

    @property
    def group(self) -> Path:
        """The control group that holds the host and its launcher."""
        return group(self.rig, self.name)

    @property
    def leader(self) -> int:
        """The id, on this machine, of the host's process 1.

        Raises:
            RigError: The host is not running.
        """
        for pid in processes(self.group / "box"):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:  # ended meanwhile
                continue
            ids = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
            if len(ids) > 2 and ids[-1] == "1":
                return pid
        raise RigError(f"{self.name} is not running; its console: {self.directory}/console.log")

    def enter(self, *argv: str, user: str = "root") -> list[str]:
        """The command that runs `argv` inside the host, for callers with pipes of their own."""
        leader = str(self.leader)
        inside = ["nsenter", "-t", leader, "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]
        become = [f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env", "--"]
        return [*inside, "/usr/bin/setpriv", *become, *argv]

    def run(
        self,
        *argv: str,
        input: str | None = None,  # noqa: A002
        user: str = "root",
        check: bool = False,
        timeout_s: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside the host, not over the network.

        Raises:
            RigError: With `check`, where the program exits with an error.
        """
        done = subprocess.run(
            self.enter(*argv, user=user),
            input=input or "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode != 0:
            words = done.stderr[-2000:]
            raise RigError(f"{self.name}: {list(argv)} exited with {done.returncode}: {words}")
        return done

    def read(self, path: str) -> str:
        """The text of a file on the host."""
        return self.run("cat", "--", path, check=True).stdout

    def exists(self, path: str) -> bool:
        """True where the path is there, followed through links."""
        return self.run("test", "-e", path).returncode == 0

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file on the host, with the directories above it; owned by root."""
        script = 'umask 077; mkdir -p -m 755 "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, f"{mode:o}", input=text, check=True)

    def write_bytes(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file that is not text; its directory is there."""
        argv = self.enter("sh", "-c", 'cat >"$1" && chmod "$2" "$1"', "sh", path, f"{mode:o}")
        subprocess.run(argv, input=data, capture_output=True, check=True, timeout=60)

    def journal(self, unit: str | None = None) -> str:
        """The host's journal, whole or of one unit."""
        some = ("-u", unit) if unit else ()
        return self.run("journalctl", "--no-pager", "-q", "-o", "short", *some, check=True).stdout
