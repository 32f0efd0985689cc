"""The directory of an engine's socket and key, which nobody else can enter."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_SOCKET_PATH_LIMIT = 107


def make_private(run_dir: Path) -> Path:
    """Make a 0700 directory whose path leaves room for a socket's name."""
    wanted = run_dir / "engine"
    if len(os.fsencode(wanted / "w.sock")) > _SOCKET_PATH_LIMIT:
        return Path(tempfile.mkdtemp(prefix="inferd-"))
    shutil.rmtree(wanted, ignore_errors=True)
    wanted.mkdir(mode=0o700, parents=True)
    return wanted


def write_key(private: Path, key: str) -> str:
    """Write the key into a 0600 file, for a program that takes it from one; its path."""
    path = private / "key"
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key)
    return str(path)
