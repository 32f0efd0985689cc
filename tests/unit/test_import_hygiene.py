"""What importing a room loads, seen from a fresh interpreter.

A command line that waits for a drawing library feels slow over SSH, and a host's wing that imports
one thing more than the host has does not start there. import-linter reads what is written;
this sees what happens.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Imports every module of a room, one after the other, and says what each of them loaded first.
PROBE = """
import importlib, json, pkgutil, sys

def walk(name):
    seen = set(sys.modules)
    module = importlib.import_module(name)
    loaded[name] = sorted(set(sys.modules) - seen)
    for info in pkgutil.iter_modules(getattr(module, "__path__", ()), name + "."):
        if not info.name.endswith(".__main__"):  # importing it would run it
            walk(info.name)

loaded = {}
walk(sys.argv[1])
print(json.dumps(loaded))
"""

DRAWING = {"textual", "rich", "plotext"}

BARE = ("aiconsole.onhost.wire", "aiconsole.onhost.runner", "aiconsole.onhost.keeper")


def loads(room: str) -> list[tuple[str, str]]:
    """Pairs of a module in the room and a module that its import loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, room], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return [(module, name) for module, names in found.items() for name in names]


def top(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("room", ["aiconsole.__main__", "aiconsole.services", "aiconsole.cli"])
def test_no_command_loads_what_draws(room: str) -> None:
    assert [pair for pair in loads(room) if top(pair[1]) in DRAWING] == []


@pytest.mark.parametrize("room", BARE)
def test_the_tool_needs_nothing_but_python(room: str) -> None:
    python = sys.stdlib_module_names | {"aiconsole"}
    pairs = [pair for pair in loads(room) if not pair[1].startswith("_sysconfigdata")]
    assert [pair for pair in pairs if top(pair[1]) not in python] == []
    allowed = ("aiconsole.onhost", *BARE)
    ours = [pair for pair in pairs if pair[1].startswith("aiconsole.")]
    foreign = [p for p in ours if not p[1].startswith(BARE) and p[1] not in allowed]
    assert foreign == []


def test_the_hosts_wing_loads_nothing_of_the_console() -> None:
    ours = [pair for pair in loads("aiconsole.onhost") if top(pair[1]) == "aiconsole"]
    assert ours
    foreign = [pair for pair in ours if pair[1].split(".")[1:2] not in ([], ["onhost"])]
    assert foreign == []


def test_the_walk_sees_what_draws() -> None:
    assert ("textual.geometry", "textual") in loads("textual.geometry")
