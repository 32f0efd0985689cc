"""Where the console keeps its files: XDG directories, private to the user."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

_APP = "aiconsole"


def config_dir() -> Path:
    """Directory of the files a person edits (hosts.toml, config.toml), created 0700."""
    return _private(Path(platformdirs.user_config_dir(_APP)))


def cache_dir() -> Path:
    """Directory of what can be built again (layers), created 0700."""
    return _private(Path(platformdirs.user_cache_dir(_APP)))


def state_dir() -> Path:
    """Directory of what the console remembers (known hosts, ledger, history), created 0700."""
    return _private(Path(platformdirs.user_state_dir(_APP)))


def data_dir() -> Path:
    """Directory of what is large and cannot be made again (models), created 0700."""
    return _private(Path(platformdirs.user_data_dir(_APP)))


def hosts_file() -> Path:
    """The fleet's inventory."""
    return config_dir() / "hosts.toml"


def known_hosts_file() -> Path:
    """Host keys that the operator accepted in this console."""
    return state_dir() / "known_hosts"


def write_atomic(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step: no reader ever sees half of it, and a crash keeps the old one.

    Raises:
        OSError: The directory is not writable or the disk is full; the old file stays.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _private(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory
