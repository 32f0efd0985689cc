"""A source that is read at its own pace, in a thread of its own, so that its hang stalls nobody."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class SourceError(Exception):
    """A source could not be read; the text is one line for the operator."""


class Source(Protocol[T_co]):
    """Something that can be read again and again, and may take too long."""

    @property
    def interval_s(self) -> float:
        """From the start of one reading to the start of the next."""

    @property
    def deadline_s(self) -> float:
        """A reading that takes longer counts as a hang."""

    def read(self) -> T_co:
        """Take a reading.

        Raises:
            SourceError: It could not be read; the next reading is tried as usual.
        """


@dataclass(frozen=True, slots=True)
class Reading(Generic[T_co]):
    """The newest of a source: a value, or why there is none."""

    value: T_co | None = None
    error: str = ""
    hung_since_unix_s: float = 0.0
    """When the reading started that has not ended; 0 where none is overdue."""


class Paced(Generic[T]):
    """Reads a source in a daemon thread. A hang is reported, waited for, and never repeated."""

    def __init__(self, name: str, source: Source[T]) -> None:
        self._name = name
        self._source = source
        self._done: Reading[T] = Reading()
        self._busy: tuple[float, float] | None = None
        """Start of the reading at work: monotonic and wall clock."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"probe-{name}", daemon=True)

    def start(self) -> None:
        """Begin; the first reading is taken at once."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further reading. A thread that hangs is left to the end of the process."""
        self._stopped.set()

    def latest(self) -> Reading[T]:
        """The newest reading; never waits. A value that is overdue is not returned as present."""
        busy = self._busy
        if busy is not None and time.monotonic() - busy[0] > self._source.deadline_s:
            return Reading(hung_since_unix_s=busy[1])
        return self._done

    def _loop(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            self._busy = (time.monotonic(), time.time())
            self._done = self._read()
            self._busy = None
            # A late reading skips the ticks that it missed instead of catching up.
            due = max(due + self._source.interval_s, time.monotonic())
            self._stopped.wait(due - time.monotonic())

    def _read(self) -> Reading[T]:
        try:
            return Reading(value=self._source.read())
        except SourceError as error:
            return Reading(error=str(error))
        except Exception as error:  # noqa: BLE001 - an edge: a defect of one source may not end the probe
            return Reading(error=f"{type(error).__name__}: {error}")


def clock_text(unix_s: float) -> str:
    """A moment as it stands in a message: `14:02:31 UTC`."""
    return time.strftime("%H:%M:%S UTC", time.gmtime(unix_s))
