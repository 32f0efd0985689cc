"""Runs the benches: `python -m tests.bench` for all of them, or the ones that are named.

Each bench prints its figures beside a peer's of the same run, as ratios; nothing is asserted.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from pathlib import Path

BENCHES = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
)


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench {unknown[0]!r}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    print(f"# {_machine()}, Python {platform.python_version()}")
    for name in names or BENCHES:
        print(f"\n## {name}", flush=True)
        sys.argv[1:] = []  # a bench that takes arguments is run as a module of its own
        importlib.import_module(f"tests.bench.{name}").main()
    return 0


def _machine() -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({models[0] if models else 'unknown'}), load {load:.1f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
