"""Starting a child with exactly the descriptors and the environment that it should have."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

LISTEN_FD = 3
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_PASSED_ON = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "TZ")


@dataclass(frozen=True, slots=True)
class Child:
    """A program to start."""

    argv: Sequence[str]
    """The first one is an absolute path."""
    env: Mapping[str, str]
    output_fd: int
    """Becomes stdout and stderr."""
    listen_fd: int = -1
    """Becomes fd 3 with `LISTEN_FDS=1`; -1 for none."""
    dies_with_keeper: bool = True
    """SIGTERM at the keeper's death, however it dies."""


def spawn(child: Child) -> int:
    """Fork and execute; returns the pid, which leads a session of its own.

    A fork by hand, because fd 3 has to be an exact number, and because the keeper has one thread
    alone, in which a fork is safe.
    """
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(child, keeper)
    return pid


def minimal_environment() -> dict[str, str]:
    """Return what a child gets of the environment: no secret of a login shell goes in."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(Path.home()),
        "LANG": "C.UTF-8",
        **kept,
    }


def _become(child: Child, keeper: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        if child.dies_with_keeper:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
            if os.getppid() != keeper:
                os._exit(0)  # It died between fork and prctl, so no signal will come.
        env = _wire_descriptors(child)
        os.execve(child.argv[0], list(child.argv), env)  # noqa: S606 - an argv list, no shell
    except OSError as error:
        os.write(2, f"cannot start {child.argv[0]}: {error}\n".encode())
    except BaseException as error:  # noqa: BLE001 - the fork must never run on as a second keeper
        os.write(2, f"cannot start {child.argv[0]}: {type(error).__name__}\n".encode())
    os._exit(127)


def _wire_descriptors(child: Child) -> dict[str, str]:
    env = dict(child.env)
    # Above the low numbers, so that no dup2 below overwrites one that is still needed.
    output = _raised(child.output_fd)
    listener = _raised(child.listen_fd) if child.listen_fd >= 0 else -1
    null = _raised(os.open("/dev/null", os.O_RDONLY))
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    if listener >= 0:
        os.dup2(listener, LISTEN_FD)
        env.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="inferd")
    elif LISTEN_FD not in (output, null):
        os.closerange(LISTEN_FD, LISTEN_FD + 1)
    return env


def _raised(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
