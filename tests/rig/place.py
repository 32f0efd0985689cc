"""Where a rig keeps its files, who owns it, and how an abandoned one is found."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.rig.execute import RigError, execute

ROOT = Path("/run/aiconsole-rig")


def check_name(name: str, most: int) -> str:
    """Return the name if it can be part of interface and file names.

    Raises:
        RigError: It cannot.
    """
    if not re.fullmatch(rf"[a-z][a-z0-9-]{{0,{most - 1}}}", name):
        raise RigError(f"{name!r}: use 1 to {most} of a-z, 0-9 and -, a letter first")
    return name


def all_rigs() -> list[str]:
    """Names of all rigs on this machine, running or abandoned."""
    return sorted(path.parent.name for path in ROOT.glob("*/owner"))


@contextmanager
def building_site() -> Iterator[None]:
    """Only one process at a time may claim a subnet or remove an abandoned rig."""
    ROOT.mkdir(mode=0o700, exist_ok=True)
    with (ROOT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def own(rig: str) -> IO[str] | None:
    """Become the owner of a rig for as long as the returned file is open; None if it has one.

    The kernel drops the lock with its process, so that a killed run is seen as abandoned.
    """
    path = ROOT / rig / "owner"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def kept_mark(rig: str) -> Path:
    """A file that says that the rig stays up without an owner, until somebody takes it down."""
    return ROOT / rig / "kept"


def cgroups() -> Path:
    """The root of the cgroup2 hierarchy; mounted under the rig's root where nobody did so."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount_point, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(mount_point)
    mount_point = str(ROOT / "cgroup2")
    os.makedirs(mount_point, exist_ok=True)  # noqa: PTH103
    execute(["mount", "-t", "cgroup2", "cgroup2", mount_point])
    return Path(mount_point)
