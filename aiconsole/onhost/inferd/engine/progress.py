"""Whether an engine gets on with its work: what runs, and how long ago the last token came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Progress:
    """Fed by whoever asks the engine; looked at by whoever watches it.

    A token of any request counts for all: an engine that computes one is not stuck.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moved = self._since = clock()
        self.running = 0
        """Requests that wait for the engine now."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The time of one request in the engine."""
        self._enter()
        try:
            yield
        finally:
            self.running -= 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Time within `at_work` that the client takes for itself, to read what it got."""
        self.running -= 1
        try:
            yield
        finally:
            self._enter()

    def _enter(self) -> None:
        if not self.running:
            self._since = self._clock()
        self.running += 1

    def moved(self) -> None:
        """A token came, or a piece of a prompt is done."""
        self._moved = self._clock()

    def excuse(self) -> None:
        """Count from now on: the time before was not the engine's own."""
        self._moved = self._since = self._clock()

    @property
    def moved_at(self) -> float:
        """When it last got on, by the clock."""
        return self._moved

    @property
    def stuck_s(self) -> float:
        """For how long requests have run without any getting on; 0 where none runs."""
        return self._clock() - max(self._moved, self._since) if self.running else 0.0

    @property
    def unproven_s(self) -> float:
        """For how long nothing has shown that it computes; 0 while something may."""
        return 0.0 if self.running else self._clock() - self._moved
