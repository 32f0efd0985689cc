"""First and repeated deploys of rig hosts by step, at no delay and at 100 ms of round trip.

    python -m tests.bench.deploy

Each figure stands beside a plain `ssh host true` over the same line at the same time, so that other
load falls on both. The layers' cache is warm; a first deploy that nobody counts sees to that.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.rig.console import Console, Event
from tests.rig.host import RigHost
from tests.rig.place import ROOT
from tests.rig.rig import Rig, open_rig

ROUND_TRIPS_MS = (0, 100)
ROUNDS = 3
SSH_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """One line's figures."""

    first: Event
    """The result of the first deploy."""
    first_s: float
    unchanged_s: float
    restart_s: float
    ssh_s: float


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="aiconsole-bench-") as home, open_rig() as rig:
        warm = Console(Path(home, "warm"))
        [host] = rig.boot("warm")
        warm.add(host)
        warm.fine("deploy", host.name, "-y")
        rig.destroy(host)
        measured = {ms: _measure(rig, Path(home, str(ms)), ms) for ms in ROUND_TRIPS_MS}
    _print(measured)


def _measure(rig: Rig, home: Path, round_trip_ms: int) -> Measured:
    [host] = rig.boot(f"far{round_trip_ms}")
    console = Console(home)
    try:
        console.add(host)
        with _line(host, round_trip_ms):
            ssh = [_time(lambda: _ssh(host)) for _ in range(SSH_ROUNDS)]
            began = time.monotonic()
            first = console.fine("deploy", host.name, "-y", "--json").result
            first_s = time.monotonic() - began
            again = [_time(lambda: _run(console, "deploy", host)) for _ in range(ROUNDS)]
            restart = [_time(lambda: _run(console, "restart", host)) for _ in range(ROUNDS)]
    finally:
        rig.destroy(host)
    return Measured(first, first_s, min(again), min(restart), statistics.median(ssh))


@contextlib.contextmanager
def _line(host: RigHost, round_trip_ms: int) -> Iterator[None]:
    with host.delay(round_trip_ms) if round_trip_ms else contextlib.nullcontext():
        yield


def _time(work: object) -> float:
    assert callable(work)
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _run(console: Console, verb: str, host: RigHost) -> None:
    console.fine(verb, host.name, "-y", "--json")


def _ssh(host: RigHost) -> None:
    config = ROOT / host.rig / "ssh_config"
    subprocess.run(["ssh", "-F", str(config), host.name, "true"], check=True, timeout=60)


def _print(measured: dict[int, Measured]) -> None:
    near = measured[ROUND_TRIPS_MS[0]]
    names = list(near.first["steps_s"])
    print(f"{'first deploy, by step':<28}" + "".join(f"{ms:>8} ms" for ms in measured))
    for name in names:
        cells = (one.first["steps_s"].get(name, 0.0) for one in measured.values())
        print(f"  {name:<26}" + "".join(f"{seconds:>9.2f} s" for seconds in cells))
    rows = {
        "first deploy, whole command": [one.first_s for one in measured.values()],
        "unchanged deploy": [one.unchanged_s for one in measured.values()],
        "restart": [one.restart_s for one in measured.values()],
        "ssh host true": [one.ssh_s for one in measured.values()],
    }
    for title, figures in rows.items():
        more = figures[-1] - figures[0]
        print(f"{title:<28}" + "".join(f"{s:>9.2f} s" for s in figures) + f"   {more:+.2f} s")
    for ms, one in measured.items():
        ratios = f"first {one.first_s / one.ssh_s:.1f}, unchanged {one.unchanged_s / one.ssh_s:.1f}"
        print(f"times of `ssh host true` at {ms} ms: {ratios}")


if __name__ == "__main__":
    main()
