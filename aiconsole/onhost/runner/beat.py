"""A line each 2 s while nothing else is said, so that a dead link shows on the console."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiconsole.onhost.runner.lines import emit

_EACH_S = 2.0


class Beat:
    """For a loop: says that the host is there, at its turns."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def maybe(self) -> None:
        """Emit a beat where the last one is 2 s ago.

        Raises:
            BrokenPipeError: Nobody listens any more.
        """
        if time.monotonic() - self._last >= _EACH_S:
            self._last = time.monotonic()
            emit({"beat": time.time()})


@contextmanager
def beating() -> Iterator[None]:
    """For work that cannot be interrupted: beats come from beside it.

    That nobody listens any more is not told here: what is begun is brought to its end.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(_EACH_S):
            try:
                emit({"beat": time.time()})
            except BrokenPipeError:
                return

    beside = threading.Thread(target=beat, daemon=True)
    beside.start()
    try:
        yield
    finally:
        done.set()
        beside.join()
