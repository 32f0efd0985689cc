"""Leaving the terminal, the SSH connection and the parent behind."""

from __future__ import annotations

import os
import resource
from pathlib import Path

DETACH = "AICONSOLE_KEEPER_DETACH"
"""In the environment: go on in the background, and let who started it go."""
_LOG_LIMIT_BYTES = 1024 * 1024


def wanted() -> bool:
    """True where this keeper was started to stay after its caller."""
    return bool(os.environ.pop(DETACH, ""))


def detach(log: str) -> None:
    """Fork twice around a new session; only the grandchild returns.

    It holds no descriptor of its caller, so that an SSH channel closes when the caller ends.
    """
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(0o077)
    path = Path(log)
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.replace(f"{log}.1")
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    highest, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(3, min(highest, 65536))
