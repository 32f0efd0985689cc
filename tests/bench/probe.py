"""What the probe costs at one frame a second: `python -m tests.bench.probe [SECONDS]`.

With a C compiler a second round has eight GPUs of the stand-in for NVML.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from aiconsole.onhost.wire import read_frame
from tests.fixtures.nvml import StandIn

_WARM_FRAMES = 4


def measure(seconds: int, title: str, cache: str, environment: dict[str, str]) -> None:
    """Run a probe and print its cost after it has warmed up."""
    settings = {**os.environ, **environment, "PYTHONPYCACHEPREFIX": cache}
    settings.pop("PYTHONDONTWRITEBYTECODE", None)
    with subprocess.Popen(
        [sys.executable, "-m", "aiconsole.onhost.probe"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=settings,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for _ in range(_WARM_FRAMES):
            process.stdout.readline()
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        before = busy_s(tree)
        lines = [process.stdout.readline() for _ in range(seconds)]
        cpu = (busy_s(tree) - before) / seconds
        memory = [one.memory_full_info() for one in tree]
        process.stdin.close()
    gpus = len(read_frame(lines[-1]).gpus)
    print(
        f"{title}: {cpu:.2%} of a core, {sum(m.rss for m in memory) / 1e6:.1f} MB resident "
        f"({sum(m.pss for m in memory) / 1e6:.1f} MB its own share), "
        f"{sum(map(len, lines)) / len(lines):.0f} bytes a frame, {gpus} GPUs"
    )


def busy_s(tree: list[psutil.Process]) -> float:
    """CPU time of all processes so far."""
    times = [process.cpu_times() for process in tree]
    return sum(one.user + one.system for one in times)


def main() -> None:
    """Measure without and with GPUs."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as place:
        # The first start compiles; hosts get the layers with their bytecode.
        measure(1, "first start", place, {})
        measure(seconds, "no GPU", place, {})
        if shutil.which("gcc") or shutil.which("cc"):
            standin = StandIn(Path(place))
            standin.says("count 8")
            measure(1, "first start", place, standin.environment)
            measure(seconds, "eight GPUs", place, standin.environment)


if __name__ == "__main__":
    main()
