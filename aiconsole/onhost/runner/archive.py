"""The tool that this process runs from, and its place on the host."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import aiconsole.onhost.runner as package
from aiconsole.onhost.runner.durable import write_file
from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.wire import HostLayout


def running_archive() -> Path:
    """The packed tool at work; under `/proc/self/fd` where it came over the line.

    Raises:
        Fault: This process does not run from a packed tool.
    """
    archive = getattr(getattr(package, "__loader__", None), "archive", None)
    if archive is None:
        raise Fault("internal", "this verb works only from the packed tool")
    return Path(archive)


def stored_tool(layout: HostLayout) -> str:
    """Path of the tool on this host's disk; it is stored there first where it is not."""
    running = running_archive()
    tools = Path(layout.opt) / "tools"
    if running.parent == tools:
        return str(running)
    content = running.read_bytes()
    path = tools / f"{hashlib.sha256(content).hexdigest()}.pyz"
    if not path.is_file() or path.stat().st_size != len(content):
        tools.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_file(path, content, 0o644, beside=str(os.getpid()))
    return str(path)


def tool_argv(tool_path: str, verb: str, *arguments: str) -> tuple[str, ...]:
    """Argv that runs a verb of a stored tool with the Python of now."""
    return (sys.executable, "-I", tool_path, verb, *arguments)


def spawn_settle(tool_path: str, run_dir: Path) -> subprocess.Popen[bytes]:
    """Settle a run in a process that outlives this one and its connection."""
    return subprocess.Popen(
        tool_argv(tool_path, "settle", str(run_dir)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
