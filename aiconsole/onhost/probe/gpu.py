"""The GPUs of this host, read by a child process that may hang without harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from aiconsole.onhost.wire import GpuReading, GpuState, WireError, from_json

_CHILD = """
import sys
sys.path[:] = sys.argv[2:]
from aiconsole.onhost.probe.nvml import serve
serve(int(sys.argv[1]))
"""

_START_DEADLINE_S = 60.0
"""A driver without persistence takes 1 to 3 s for each GPU to come up."""


@dataclass(frozen=True, slots=True)
class GpuAnswer:
    """What the child said."""

    state: GpuState
    fault: str = ""
    gpus: tuple[GpuReading, ...] = ()
    notes: tuple[str, ...] = ()
    """Calls that failed although the board has such a thing."""
    last: bool = False
    """The child ends after this answer."""


class GpuSource:
    """A source of `GpuAnswer`, to be read by `Paced`: `read` blocks as long as the driver does."""

    interval_s = 2.0

    def __init__(
        self,
        *,
        deadline_s: float = 5.0,
        start_deadline_s: float = _START_DEADLINE_S,
        retry_s: float = 30.0,
        absent_retry_s: float = 300.0,
    ) -> None:
        self._deadline_s = deadline_s
        self._start_deadline_s = start_deadline_s
        self._retry_s = retry_s
        self._absent_retry_s = absent_retry_s
        self._child: subprocess.Popen[bytes] | None = None
        self._answered = False
        self._closed = False
        self._rest = GpuAnswer("unknown")
        """What holds while there is no child."""
        self._rest_until_s = 0.0

    @property
    def deadline_s(self) -> float:
        """The first answer of a child includes the start of the driver."""
        return self._deadline_s if self._answered else self._start_deadline_s

    def read(self) -> GpuAnswer:
        """Ask the child, after starting it where there is none."""
        if self._child is None:
            if self._closed or time.monotonic() < self._rest_until_s:
                return self._rest
            self._child = _spawn()
        answer = _ask(self._child)
        if answer.last:
            self._dismiss(self._child, answer)
        else:
            self._answered = True
        return answer

    def close(self) -> None:
        """End the child, hung or not, by one signal; a driver may hold it until it lets go."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()
            with suppress(subprocess.TimeoutExpired):
                child.wait(1.0)
                _close_pipes(child)

    def _dismiss(self, child: subprocess.Popen[bytes], answer: GpuAnswer) -> None:
        child.kill()
        child.wait()
        _close_pipes(child)
        self._child, self._answered, self._rest = None, False, answer
        pause_s = self._absent_retry_s if answer.state == "none" else self._retry_s
        self._rest_until_s = time.monotonic() + pause_s


def _spawn() -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-S", "-c", _CHILD, str(os.getpid()), *filter(None, sys.path)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _close_pipes(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):  # a request that never left is still in the buffer
                pipe.close()


def _ask(child: subprocess.Popen[bytes]) -> GpuAnswer:
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(b"\n")
        child.stdin.flush()
    except BrokenPipeError:
        return _ended(child)
    line = child.stdout.readline()
    return parse_answer(line) if line else _ended(child)


def _ended(child: subprocess.Popen[bytes]) -> GpuAnswer:
    status = child.wait()
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    return GpuAnswer("fault", f"the reader of the driver died ({how})", last=True)


def parse_answer(line: bytes) -> GpuAnswer:
    """Read one line of the child."""
    try:
        value = json.loads(line)
        notes = [
            f"GPU {gpu['index']}: {note}" for gpu in value["gpus"] for note in gpu.pop("notes", ())
        ]
        return from_json(GpuAnswer, {**value, "notes": notes})
    except (ValueError, KeyError, TypeError, WireError) as error:
        return GpuAnswer("fault", f"the reader of the driver is not understood: {error}", last=True)
