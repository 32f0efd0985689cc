"""Everything that any process here shows of itself: its argv and its environment, all the time.

The hosts of the rig share this machine's kernel, so their processes are among them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_FRESH_LOOKS = 100
"""So often a new process is looked at in every round, since it may yet become another program."""
_OLD_EACH_ROUNDS = 100
_PAUSE_S = 0.002
"""Leaves the processor to what is watched."""


class Watcher:
    """What was seen, each text once."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._looks: dict[str, int] = {}
        self._ended = threading.Event()

    def shows(self, text: str) -> bool:
        """True where some process showed the text."""
        seen = self._seen.copy()  # it grows while we look
        return any(text.encode() in shown for shown in seen)

    def leaks(self, secrets: Sequence[str]) -> list[str]:
        """Those of the secrets that some process showed."""
        return [secret for secret in secrets if self.shows(secret)]

    def watch(self) -> None:
        """Look at all processes, over and over, until `end`."""
        rounds = 0
        while not self._ended.wait(_PAUSE_S):
            rounds += 1
            for name in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208 - many times a second
                looks = self._looks[name] = self._looks.get(name, 0) + 1
                if looks < _FRESH_LOOKS or (rounds + int(name)) % _OLD_EACH_ROUNDS == 0:
                    self._look(name)

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()

    def _look(self, pid: str) -> None:
        for name in ("cmdline", "environ"):
            try:
                self._seen.add(Path("/proc", pid, name).read_bytes().replace(b"\0", b" "))
            except OSError:  # ended meanwhile
                return


@contextmanager
def watching() -> Iterator[Watcher]:
    """Watch within the block."""
    watcher = Watcher()
    thread = threading.Thread(target=watcher.watch)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.end()
        thread.join()
