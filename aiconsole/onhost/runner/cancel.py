"""The wish to stop a run, as a signal handler may leave it and a step may wait for it."""

from __future__ import annotations

import contextlib
import os
import select


class Cancelled(Exception):  # noqa: N818 - it reports a wish that was followed, not an error
    """The operator cancelled the run; the step that was at work stops where it is."""


class Cancel:
    """A flag that is safe to set from a signal handler and that can be waited for.

    `threading.Event` is not: a handler that runs while the same thread waits on the event
    would wait for its lock for ever.
    """

    def __init__(self) -> None:
        self._requested = False
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    @property
    def requested(self) -> bool:
        """True from the first request on."""
        return self._requested

    def request(self) -> None:
        """Ask the run to stop; a second request changes nothing."""
        self._requested = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"x")

    def fileno(self) -> int:
        """Readable once cancelled, for steps that wait in a select of their own."""
        return self._reader

    def wait(self, seconds: float) -> bool:
        """Sleep at most so long; True, at once, where the run is cancelled."""
        if not self._requested:
            select.select([self._reader], [], [], max(0.0, seconds))
        return self._requested

    def raise_if_requested(self) -> None:
        """Call it between two pieces of work that are long.

        Raises:
            Cancelled: The run was cancelled.
        """
        if self._requested:
            raise Cancelled


NEVER = Cancel()
"""For checks and undos, which run to their end."""
