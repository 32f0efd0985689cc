"""Puts a small library under every program that starts on a host, and takes it away again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rig.execute import execute
from tests.rig.machine import Machine

SOURCE = Path(__file__).with_name("preload.c")
LIST = "/etc/ld.so.preload"


def compiled(*defines: str) -> bytes:
    """The library, compiled with these faults."""
    with tempfile.TemporaryDirectory(prefix="aiconsole-rig-") as directory:
        target = Path(directory) / "preload.so"
        flags = [f"-D{define}" for define in defines]
        execute(["gcc", "-shared", "-fPIC", "-O1", *flags, "-o", str(target), str(SOURCE)])
        return target.read_bytes()


@contextmanager
def preloaded(machine: Machine, name: str, *defines: str) -> Iterator[None]:
    """Preload the library on the host within the block; several may be in force at once."""
    path = f"/usr/local/lib/rig-{name}.so"
    machine.write_bytes(path, compiled(*defines), 0o755)
    before = machine.read(LIST) if machine.exists(LIST) else ""
    machine.write(LIST, f"{before}{path}\n")
    try:
        yield
    finally:
        if before:
            machine.write(LIST, before)
        else:
            machine.run("rm", "-f", LIST, check=True)
