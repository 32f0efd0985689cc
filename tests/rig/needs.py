"""Says why this machine cannot run the rig, in one line that names the way out."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

PROGRAMS = (
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("bridge", "iproute2"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("gcc", "gcc libc6-dev"),
    ("unshare", "util-linux"),
)
"""Program and the Debian packages that bring it."""

TRIAL = "mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount -t tmpfs tmpfs /mnt"


def redis_missing() -> str | None:
    """Return the reason why no test can have a Redis of its own here, or None where it can."""
    if shutil.which("redis-server") is None:
        return "the test needs a Debian package that is not here (redis-server): make rig"
    return None


@functools.cache
def missing() -> str | None:
    """Return the reason why the rig cannot run here, or None where it can."""
    if sys.platform != "linux":
        return "the rig needs Linux"
    if os.geteuid() != 0:
        return "the rig needs root (it boots Debian hosts); run the tests with sudo"
    absent = [package for program, package in PROGRAMS if not shutil.which(program)]
    if absent:
        return f"the rig needs Debian packages that are not here ({', '.join(absent)}): make rig"
    trial = subprocess.run(
        ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", TRIAL],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if trial.returncode != 0:
        words = trial.stderr.decode(errors="replace").strip()
        return f"the rig may not make namespaces and mounts on this machine: {words}"
    return None
