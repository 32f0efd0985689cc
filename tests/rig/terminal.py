"""A command on a terminal of its own, with somebody who reads and types."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_PATIENCE_S = 120.0


class Terminal:
    """What stands on the screen so far, and the keyboard."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._read_up_to = 0
        self.screen = ""

    def wait_for(self, text: str) -> None:
        """Read until the text appears after what was waited for before."""
        deadline = time.monotonic() + _PATIENCE_S
        while (found := self.screen.find(text, self._read_up_to)) < 0:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.screen}"
            assert self._read(), f"it ended without {text!r}:\n{self.screen}"
        self._read_up_to = found + len(text)

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        os.write(self._descriptor, line.encode() + b"\n")

    def end(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        return self.process.wait(_PATIENCE_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], _PATIENCE_S)
        assert ready, f"silent for too long:\n{self.screen}"
        try:
            chunk = os.read(self._descriptor, 65536)
        except OSError:  # how Linux tells that the other side of a terminal is closed
            return False
        self.screen += chunk.decode(errors="replace").replace("\r\n", "\n")
        return bool(chunk)


@contextmanager
def on_terminal(argv: Sequence[str], environment: dict[str, str]) -> Iterator[Terminal]:
    """Run a command on a new terminal; it is killed where it has not ended with the block."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
