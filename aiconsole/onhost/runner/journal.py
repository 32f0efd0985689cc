"""The journal of a run: an event counts once it is on the disk."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from aiconsole.onhost.runner.durable import remove_file, sync_directory
from aiconsole.onhost.wire import EventKind, RunEvent, WireError, from_json, to_json

BALLAST = "ballast"
BALLAST_BYTES = 2 * 1024 * 1024
"""A file beside the journal that is removed when the disk is full, so that a run can still be
taken back and say so."""


class Journal:
    """Appends events, each fsynced before `write` returns. Only the holder of the lock writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.events: list[RunEvent] = list(read_events(path))
        """All events so far, those of an earlier process too."""
        self._next_seq = self.events[-1].seq + 1 if self.events else 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, whole_lines_bytes(path))
        os.lseek(self._fd, 0, os.SEEK_END)
        sync_directory(path.parent)

    def write(
        self,
        kind: EventKind,
        step_id: str = "",
        text: str = "",
        *,
        done_bytes: int = 0,
        total_bytes: int = 0,
        outcome: str = "",
        data: dict[str, Any] | None = None,
    ) -> RunEvent:
        """Append one event and wait until the disk has it."""
        event = RunEvent(
            self._next_seq, time.time(), kind, step_id, text, done_bytes, total_bytes, outcome,
            data or {},
        )  # fmt: skip
        line = json.dumps(to_json(event)).encode() + b"\n"
        try:
            self._append(line)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self.free_ballast():
                raise
            self._append(line)
        self.events.append(event)
        self._next_seq += 1
        return event

    def free_ballast(self) -> bool:
        """Give back the space that was kept for the way back; True where there was some."""
        return remove_file(self._path.with_name(BALLAST))

    def _append(self, line: bytes) -> None:
        start = os.lseek(self._fd, 0, os.SEEK_CUR)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, start)
            os.lseek(self._fd, start, os.SEEK_SET)
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)


def whole_lines_bytes(path: Path) -> int:
    """Length of the journal without a last line that a power cut or a kill tore off."""
    try:
        return path.read_bytes().rfind(b"\n") + 1
    except FileNotFoundError:
        return 0


def read_events(path: Path) -> Sequence[RunEvent]:
    """The events of a journal; a torn last line is left out, a missing file has none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return events_of(content[: content.rfind(b"\n") + 1])


def events_of(lines: bytes) -> list[RunEvent]:
    """Events of whole journal lines; a line that a damaged disk made unreadable is left out."""
    events: list[RunEvent] = []
    for line in lines.splitlines():
        with contextlib.suppress(WireError, ValueError):
            events.append(from_json(RunEvent, json.loads(line)))
    return events


def end_of(path: Path) -> RunEvent | None:
    """The event that ends the run; None while it has no end. Nothing is ever written after it."""
    last = edges(path)[-1:]
    return last[0] if last and last[0].kind == "run-finished" else None


def edges(path: Path) -> list[RunEvent]:
    """The first and the last event, without reading those between; none of a missing journal."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = content[: content.rfind(b"\n") + 1]
    first_end = whole.find(b"\n") + 1
    last_start = whole.rfind(b"\n", 0, -1) + 1
    return events_of(whole[:first_end] + (whole[last_start:] if last_start else b""))
