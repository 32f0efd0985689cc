"""Faults of a host itself: its disk, its Python, its clock, its ports, its key.

Each is a context manager that heals the host at its end, unless its name says an act.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.rig.execute import RigError
from tests.rig.machine import Machine
from tests.rig.preload import preloaded
from tests.rig.seed import KEY_TYPES

SMALL_DISK = """
set -eu
mkdir -p "$1"
mount -t tmpfs -o "size=$2m,mode=$(stat -c %a "$1")" rig-small-disk /mnt
chown --reference="$1" /mnt
cp -a "$1/." /mnt/
mount --move /mnt "$1" 2>/dev/null || { mount --bind /mnt "$1"; umount /mnt; }
"""

READ_ONLY = 'mkdir -p "$1" && mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'

TELLING = 'cat >/run/rig-telling && mount --bind /run/rig-telling "$1"'

# Isolated interpreters (-I) load sitecustomize too, so that every way to ask gets the same answer.
OLD_PYTHON = """
import sys
sys.version_info = type("version_info", (tuple,), {{
    "major": property(lambda self: self[0]),
    "minor": property(lambda self: self[1]),
    "micro": property(lambda self: self[2]),
}})(({major}, {minor}, {micro}, "final", 0))
sys.version = "{version} (default, Jun  2 2021, 10:49:15) \\n[GCC 9.4.0]"
sys.hexversion = {major} << 24 | {minor} << 16 | {micro} << 8 | 0xF0
"""

OLD_PYTHON_COMMAND = """\
#!/bin/sh
case "$1" in -V | --version) echo "Python {version}"; exit 0 ;; esac
exec {real} "$@"
"""

LISTENER = """\
#!/usr/bin/python3
import signal, socket
taken = socket.create_server(("0.0.0.0", {port}))
print("listening", flush=True)
signal.pause()
"""


class HostFaults(Machine):
    """Breaks a host from inside."""

    def kill(self, pattern: str, signal: str = "KILL") -> bool:
        """Send a signal to every process whose command line matches; True where one did."""
        return self.run("pkill", f"-{signal}", "-f", "--", pattern).returncode == 0

    @contextmanager
    def small_disk(self, path: str, size_mb: int) -> Iterator[None]:
        """Put a small filesystem at a directory, with what lies there now.

        What is written within the block is gone after it. `grow_disk` makes room meanwhile.
        """
        self.run("sh", "-c", SMALL_DISK, "sh", path, str(size_mb), check=True)
        try:
            yield
        finally:
            self.run("umount", "--lazy", path, check=True)

    def grow_disk(self, path: str, size_mb: int) -> None:
        """Make the filesystem of `small_disk` larger, as an operator would who frees space."""
        self.run("mount", "-o", f"remount,size={size_mb}m", path, check=True)

    @contextmanager
    def read_only(self, path: str) -> Iterator[None]:
        """Make a directory read-only, even for root."""
        self.run("sh", "-c", READ_ONLY, "sh", path, check=True)
        try:
            yield
        finally:
            self.run("umount", "--lazy", path, check=True)

    @contextmanager
    def clock_off(self, seconds: int) -> Iterator[None]:
        """Let every program that starts within the block see a time of day that is off.

        The real clock stays: it is this machine's own, and file times still come from it.
        """
        with preloaded(self, "clock", f"CLOCK_OFF_S=({seconds})"):
            yield

    @contextmanager
    def fake_architecture(self, machine: str = "riscv64") -> Iterator[None]:
        """Let uname, and so every Python that starts within the block, name another processor."""
        with preloaded(self, "machine", f'MACHINE="{machine}"'):
            yield

    @contextmanager
    def hide_python(self) -> Iterator[None]:
        """Take every Python out of the PATH."""
        names = self.run("sh", "-c", "ls -d /usr/bin/python3*", check=True).stdout.split()
        self.run("mkdir", "-p", "/usr/lib/hidden", check=True)
        self.run("mv", "--", *names, "/usr/lib/hidden/", check=True)
        try:
            yield
        finally:
            back = [name.replace("/usr/bin/", "/usr/lib/hidden/") for name in names]
            self.run("mv", "--", *back, "/usr/bin/", check=True)

    @contextmanager
    def old_python(self, version: str = "3.8.10") -> Iterator[None]:
        """Let python3 report an older version, however it is asked."""
        major, minor, micro = version.split(".")
        site, command = "/etc/python3.11/sitecustomize.py", "/usr/bin/python3"
        before = self.read(site)
        real = self.run("readlink", "-f", command, check=True).stdout.strip()
        patch = OLD_PYTHON.format(major=major, minor=minor, micro=micro, version=version)
        self.write(site, patch)
        self.run("mv", command, f"{command}-link", check=True)
        self.write(command, OLD_PYTHON_COMMAND.format(version=version, real=real), 0o755)
        try:
            yield
        finally:
            self.run("mv", f"{command}-link", command, check=True)
            self.write(site, before)

    @contextmanager
    def telling(self, path: str, text: str) -> Iterator[None]:
        """Let a file of the kernel, such as /proc/meminfo, say something else."""
        self.run("sh", "-c", TELLING, "sh", path, input=text, check=True)
        try:
            yield
        finally:
            self.run("umount", path, check=True)

    @contextmanager
    def port_taken(self, port: int, program: str = "squatter") -> Iterator[int]:
        """Let a program of this name listen on a port; yields its process id on the host."""
        path = f"/usr/local/bin/{program}"
        self.write(path, LISTENER.format(port=port), 0o755)
        taker = subprocess.Popen(
            self.enter(path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        with taker:
            assert taker.stdout is not None
            if taker.stdout.readline() != "listening\n":
                raise RigError(f"port {port} of {self.name} could not be taken")
            try:
                yield int(self.run("pgrep", "-o", "-f", path, check=True).stdout)
            finally:
                self.kill(path)

    def change_host_key(self) -> str:
        """Give the host new SSH keys, as a reinstalled machine has; returns the new public key."""
        for kind in KEY_TYPES:
            path = f"/etc/ssh/ssh_host_{kind}_key"
            self.run("rm", "-f", path, f"{path}.pub", check=True)
            self.run("ssh-keygen", "-q", "-N", "", "-t", kind, "-f", path, check=True)
        self.run("systemctl", "restart", "ssh.service", check=True)
        return " ".join(self.read("/etc/ssh/ssh_host_ed25519_key.pub").split()[:2])
