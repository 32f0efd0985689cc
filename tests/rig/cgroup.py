"""A control group of a rig: a place for processes from which none can hide."""

from __future__ import annotations

import os
import select
from pathlib import Path

from tests.rig.place import cgroups


def group(*names: str) -> Path:
    """The directory of a control group below the rig's own."""
    return cgroups().joinpath("aiconsole-rig", *names)


def processes(path: Path) -> list[int]:
    """Ids of all processes in the group and the groups below it."""
    found: list[int] = []
    for listing in path.rglob("cgroup.procs"):
        try:
            found += [int(line) for line in listing.read_text().split()]
        except OSError:  # the group went away between the listing and the reading
            continue
    return [pid for pid in found if pid]


def kill_all(path: Path) -> None:
    """Kill every process of the group and wait until the last one is gone."""
    try:
        (path / "cgroup.kill").write_text("1")
    except FileNotFoundError:
        return
    with (path / "cgroup.events").open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "populated 1" in events.read():
            poll.poll(1000)
            events.seek(0)


def remove(path: Path) -> None:
    """Kill what is in the group and take the group away."""
    if not path.is_dir():
        return
    kill_all(path)
    for below, _, _ in os.walk(path, topdown=False):
        os.rmdir(below)  # noqa: PTH106
