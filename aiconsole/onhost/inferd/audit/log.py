"""The audit: one line for each request, written by a thread that may take its time."""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from aiconsole.onhost.inferd.audit.line import Clock, line
from aiconsole.onhost.inferd.audit.sink import RotatedFile, Sink, SinkError, Stdout
from aiconsole.onhost.inferd.exchange import Exchange
from aiconsole.onhost.inferd.settings import AuditSettings

log = logging.getLogger("inferd.audit")

_FLUSH_S = 0.1
_MAX_WAITING = 10_000
_MAX_WAITING_BYTES = 16 * 1024 * 1024
_CLOSE_S = 2.0


class Audit:
    """Collects lines and hands them to the thread: a log that does not read blocks nobody."""

    def __init__(
        self, settings: AuditSettings, release_id: str, dropped: Callable[[int], None]
    ) -> None:
        """Begin; nothing is opened before the first line.

        Args:
            settings: Where the lines go.
            release_id: Of what serves.
            dropped: Called with the number of lines that were lost.
        """
        self._settings = settings
        self._release_id = release_id
        self._dropped = dropped
        self._clock = Clock()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writer = _Writer(_sink(settings), dropped)

    @property
    def wants(self) -> int:
        """How many characters of a prompt are to be written down; 0 is none."""
        return self._settings.max_prompt_chars if self._settings.prompts else 0

    def write(self, exchange: Exchange) -> None:
        """Put a finished request down."""
        text = line(exchange, self._clock.now(), self._release_id)
        full = self._waiting_bytes + len(text) > _MAX_WAITING_BYTES
        if full or len(self._waiting) >= _MAX_WAITING:
            self._dropped(1)
            return
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._flush)

    def reopen(self) -> None:
        """Open the file anew, after somebody else has moved it away."""
        self._writer.orders.put("reopen")

    def configure(self, settings: AuditSettings) -> None:
        """Other settings from now on; what waits goes where it would have gone."""
        known, self._settings = self._settings, settings
        places = [(s.path, s.max_bytes, s.keep) for s in (known, settings)]
        if places[0] != places[1]:
            self._hand_over()
            self._writer.orders.put(_sink(settings))

    async def close(self) -> None:
        """Write what is left, if the reader still reads."""
        if self._timer is not None:
            self._timer.cancel()
        self._hand_over()
        self._writer.orders.put("end")
        await asyncio.get_running_loop().run_in_executor(None, self._writer.join, _CLOSE_S)

    def _flush(self) -> None:
        self._timer = None
        if self._writer.busy:  # what waits in here is bounded, what waits there is not
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._flush)
            return
        self._hand_over()

    def _hand_over(self) -> None:
        if self._waiting:
            self._writer.orders.put(b"".join(self._waiting))
            self._waiting, self._waiting_bytes = [], 0


class _Writer(threading.Thread):
    """Does what it is told, in order; a daemon thread, so that a stuck one holds up no end."""

    def __init__(self, sink: Sink, dropped: Callable[[int], None]) -> None:
        super().__init__(name="audit", daemon=True)
        self.orders: queue.Queue[bytes | Sink | str] = queue.Queue()
        self._sink = sink
        self._dropped = dropped
        self._lost = 0
        self.start()

    @property
    def busy(self) -> bool:
        """Whether something is being written, or is about to be."""
        return bool(self.orders.unfinished_tasks)

    def run(self) -> None:
        """Until the end is told."""
        while (order := self.orders.get()) != "end":
            if isinstance(order, bytes):
                self._put(order)
            elif isinstance(order, str):
                self._sink.reopen()
            else:
                self._sink.close()
                self._sink = order
            self.orders.task_done()
        self._sink.close()

    def _put(self, data: bytes) -> None:
        try:
            self._sink.write(data)
        except SinkError as error:
            if not self._lost:
                log.error("audit lines are lost: %s", error)
            self._lost += error.lost
            self._dropped(error.lost)
        else:
            if self._lost:
                log.warning("audit lines are written again; %d were lost", self._lost)
            self._lost = 0


def _sink(settings: AuditSettings) -> Sink:
    """A file, or what the service manager reads."""
    if settings.path:
        return RotatedFile(Path(settings.path), settings.max_bytes, settings.keep)
    return Stdout(sys.stdout.fileno())
