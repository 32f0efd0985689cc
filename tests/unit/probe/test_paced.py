from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from aiconsole.onhost.probe.disk import RootRoom
from aiconsole.onhost.probe.paced import Paced, SourceError


class Scripted:
    """Reads what the test says, when the test says so."""

    interval_s = 0.01
    deadline_s = 0.1

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self.readings = 0
        self.progress = threading.Condition()

    def read(self) -> int:
        try:
            return self._read()
        finally:
            with self.progress:
                self.readings += 1
                self.progress.notify_all()

    def after(self, readings: int) -> None:
        with self.progress:
            assert self.progress.wait_for(lambda: self.readings >= readings, 20)


@contextmanager
def running(source: Scripted) -> Iterator[Paced[int]]:
    paced = Paced("scripted", source)
    paced.start()
    yield paced
    paced.stop()


def test_nothing_is_known_before_the_first_reading() -> None:
    reading = Paced("scripted", Scripted(lambda: 1)).latest()
    assert (reading.value, reading.error, reading.hung_since_unix_s) == (None, "", 0.0)


def test_a_failure_is_told_and_tried_again() -> None:
    answers: Iterator[int | Exception] = iter([SourceError("no such disk"), ZeroDivisionError("x")])

    def read() -> int:
        answer = next(answers, 7)
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = Scripted(read)
    assert Paced("scripted", source)._read().error == "no such disk"
    assert Paced("scripted", source)._read().error == "ZeroDivisionError: x"
    with running(source) as paced:
        source.after(4)
        assert paced.latest().value == 7


def test_a_hang_is_told_while_it_lasts_and_never_repeated() -> None:
    released, entered = threading.Event(), threading.Event()

    def read() -> int:
        entered.set()
        released.wait(20)
        return 3

    source = Scripted(read)
    with running(source) as paced:
        assert entered.wait(20)
        while not paced.latest().hung_since_unix_s:
            threading.Event().wait(0.01)
        assert paced.latest().value is None
        assert source.readings == 0, "one reading hangs; no second one is begun beside it"
        released.set()
        source.after(1)
        while paced.latest().value is None:
            threading.Event().wait(0.01)
        assert paced.latest().value == 3


def test_a_filesystem_that_fails_is_named() -> None:
    with pytest.raises(SourceError, match="/no/such/place: No such file"):
        RootRoom("/no/such/place").read()
    room = RootRoom("/").read()
    assert 0 < room.free_bytes <= room.total_bytes
