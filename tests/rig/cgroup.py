"""A control group of a rig: a place for processes from which none can hide."""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress
from pathlib import Path

from tests.rig.place import cgroups


def group(*names: str) -> Path:
    """The directory of a control group below the rig's own."""
    return cgroups().joinpath("aiconsole-rig", *names)


def processes(path: Path) -> list[int]:
    """Ids of all processes in the group and the groups below it."""
    found: list[int] = []
    # os.walk, as groups come and go meanwhile: pathlib would raise at one that has gone.
    for directory, _, _ in os.walk(path):
        try:
            listing = Path(directory, "cgroup.procs")
            found += [int(line) for line in listing.read_text().split()]
        except OSError:  # the group went away between the listing and the reading
            continue
    return [pid for pid in found if pid]


def kill_all(path: Path) -> None:
    """Kill every process of the group at one stroke."""
    with suppress(FileNotFoundError):
        (path / "cgroup.kill").write_text("1")


def wait_empty(path: Path, timeout_s: float) -> None:
    """Wait until the last process of the group is gone, or the time is up."""
    ends = time.monotonic() + timeout_s
    with (path / "cgroup.events").open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "populated 1" in events.read() and (left_s := ends - time.monotonic()) > 0:
            poll.poll(left_s * 1000)
            events.seek(0)


def remove(path: Path) -> None:
    """Kill what is in the group and take the group away."""
    if not path.is_dir():
        return
    kill_all(path)
    wait_empty(path, 10)
    for below, _, _ in os.walk(path, topdown=False):
        os.rmdir(below)  # noqa: PTH106
