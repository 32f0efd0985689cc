"""Write the layers' locks anew: `.venv/bin/python tools/locks.py` (`make locks`).

For Python 3.11 and newer every version is the one of uv.lock, so that a host runs what the tests
ran. Python 3.10, which uv.lock does not cover, gets the newest versions that still support it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import uv

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "aiconsole" / "bundle" / "locks"
OLDEST_PYTHON = "3.10"
ALONE = ("gomp",)
"""Locks of one file of a package, for which what the package itself needs is not wanted."""


def constraints() -> str:
    """The versions of uv.lock, binding for the Pythons that it covers."""
    argv = [uv.find_uv_bin(), "export", "--frozen", "--all-extras", "--no-dev", "--no-hashes",
            "--no-emit-project", "--no-annotate", "--no-header", "--quiet"]  # fmt: skip
    out = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = [line.split(";")[0].strip() for line in out.splitlines() if "==" in line]
    return "".join(f"{name} ; python_version >= '3.11'\n" for name in names)


def compile_lock(name: str, binding: Path) -> None:
    """Resolve one layer for all platforms, with the hashes of every file."""
    argv = [uv.find_uv_bin(), "pip", "compile", "--universal", "--generate-hashes", "--quiet",
            "--python-version", OLDEST_PYTHON, "--no-annotate", "--no-header", "--upgrade",
            "--constraint", str(binding), "--output-file", str(LOCKS / f"{name}.txt"),
            str(LOCKS / f"{name}.in")]  # fmt: skip
    if name in ALONE:
        argv.append("--no-deps")
    subprocess.run(argv, check=True, cwd=binding.parent)


def main() -> int:
    """Write every lock."""
    with tempfile.TemporaryDirectory() as directory:
        binding = Path(directory) / "constraints.txt"
        binding.write_text(constraints())
        for source in sorted(LOCKS.glob("*.in")):
            compile_lock(source.stem, binding)
            print(f"{source.stem}.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
