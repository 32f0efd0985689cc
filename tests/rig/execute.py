"""Runs a system tool of this machine; a failure says which and shows its last words."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


class RigError(Exception):
    """The rig itself is broken: a tool failed or a host did not come up."""


def execute(argv: Sequence[str], *, timeout_s: float = 60.0) -> str:
    """Run a tool to its end and return what it printed.

    Raises:
        RigError: The tool exited with an error or did not end in time.
    """
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RigError(f"{argv[0]} did not end within {timeout_s:g} s: {argv}") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace")[-2000:]
        raise RigError(f"{list(argv)} exited with {done.returncode}: {words}")
    return done.stdout.decode()


def attempt(argv: Sequence[str]) -> None:
    """Run a tool whose failure does not matter, as when something may be gone already."""
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
