"""The Debian tree that every host of the rig stands on; built once, then cached by its recipe."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from pathlib import Path

from tests.rig.execute import execute

SUITE = "bookworm"
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "openssh-server",
    "python3",
    "sudo",
    "iproute2",
    "procps",
)
HOOKS = (
    # Every host brings its own identity.
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname "$1"/etc/resolv.conf',
    ': > "$1"/etc/machine-id',
    'chroot "$1" systemctl enable systemd-networkd.service',
    # Nobody sits at the console, and nothing may start apt while a test runs.
    'chroot "$1" systemctl mask console-getty.service getty.target',
    'chroot "$1" systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer',
)


def recipe(target: Path) -> list[str]:
    """The command that builds the tree at `target`."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(PACKAGES)}",
        *(f"--customize-hook={hook}" for hook in HOOKS),
        SUITE,
        str(target),
    ]


def cache_dir() -> Path:
    """Where trees rest between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "aiconsole-rig"


def tree() -> Path:
    """Return the tree, after building it where this machine has none of this recipe."""
    digest = hashlib.sha256("\n".join(recipe(Path("/tree"))).encode()).hexdigest()[:12]
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    finished = cache / f"{SUITE}-{digest}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.is_dir():
            _build(finished)
    return finished


def _build(finished: Path) -> None:
    """Build beside the final name, so that a killed build leaves no half tree under it."""
    growing = finished.with_suffix(".growing")
    shutil.rmtree(growing, ignore_errors=True)
    execute(recipe(growing), timeout_s=600)
    growing.rename(finished)
