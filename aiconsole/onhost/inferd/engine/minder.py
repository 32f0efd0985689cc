"""The process that minds a server of somebody else's: it starts it, and leaves nothing behind.

It gets one line of JSON on stdin, its spec, and answers with the server's process id on stdout.
The server runs in a session of its own, so that a signal to the daemon's group does not end it
before the daemon has drained. `stop` on stdin asks the server to end; the end of stdin, however
the daemon died, kills it with all that it started. The exit status is the server's own.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CANNOT_START = 127


@dataclass(frozen=True, slots=True)
class MinderSpec:
    """What to start."""

    argv: list[str]
    environment: dict[str, str]
    """All of it; it comes by stdin, since a key may be in it."""
    directory: str
    stop_signal: int

    def as_line(self) -> bytes:
        """The spec as it goes through the pipe."""
        return json.dumps(asdict(self)).encode() + b"\n"


def main() -> None:
    """Start the server and stay until it has ended; end with its status."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Not SIG_IGN: the server would inherit that, and be deaf to its own stop signal.
        signal.signal(number, lambda *_: None)
    spec = MinderSpec(**json.loads(sys.stdin.buffer.readline()))
    libc = ctypes.CDLL(None, use_errno=True)
    # What the server leaves behind becomes a child of this process, and can be found and killed.
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        server = subprocess.Popen(
            spec.argv, env=spec.environment, cwd=spec.directory, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),
        )  # fmt: skip
    except OSError as error:
        print(f"cannot be run: {spec.argv[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(_CANNOT_START)
    print(server.pid, flush=True)
    threading.Thread(target=_obey, args=(server.pid, spec.stop_signal), daemon=True).start()
    status = _outlive(server.pid)
    _kill_the_rest()
    _end_like(status)


def _obey(pid: int, stop_signal: int) -> None:
    """Pass the wish to stop on to the server alone: what it started is its own to end."""
    while line := sys.stdin.buffer.readline():
        if line.strip() == b"stop":
            with suppress(ProcessLookupError):
                os.kill(pid, stop_signal)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _outlive(pid: int) -> int:
    """Wait for the server, and bury whom it orphaned; its wait status.

    It stays a zombie while this looks at it, so that its number names nobody else until then.
    """
    while True:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if found is not None and found.si_pid == pid:
            break
        if found is not None:
            os.waitpid(found.si_pid, 0)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _kill_the_rest() -> None:
    """Kill what is left in other groups and sessions, until nothing is a child of this process."""
    own = Path(f"/proc/self/task/{os.getpid()}/children")
    while True:
        try:
            children = own.read_text(encoding="ascii").split()
        except OSError:
            return  # a kernel that does not list them
        for child in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(child), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _end_like(status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one dump is enough
    with suppress(OSError):
        signal.signal(-code, signal.SIG_DFL)  # SIGKILL has no other way anyhow
    os.kill(os.getpid(), -code)
