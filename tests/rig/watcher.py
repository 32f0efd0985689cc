"""Everything that any process here shows of itself: its argv and its environment, all the time.

The hosts of the rig share this machine's kernel, so their processes are among them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Watcher:
    """What was seen, each text once."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._ended = threading.Event()

    def shows(self, text: str) -> bool:
        """True where some process showed the text."""
        return any(text.encode() in shown for shown in self._seen)

    def leaks(self, secrets: Sequence[str]) -> list[str]:
        """Those of the secrets that some process showed."""
        return [secret for secret in secrets if self.shows(secret)]

    def watch(self) -> None:
        """Look at all processes, over and over, until `end`."""
        while not self._ended.is_set():
            for process in Path("/proc").iterdir():
                if process.name.isdecimal():
                    self._look(process)

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()

    def _look(self, process: Path) -> None:
        for name in ("cmdline", "environ"):
            try:
                self._seen.add((process / name).read_bytes().replace(b"\0", b" "))
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
