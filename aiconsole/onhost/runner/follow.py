"""Follows a run to its end, past a dead runner too: its events, and a beat each 2 s."""

from __future__ import annotations

import subprocess
import time

from aiconsole.onhost.runner.archive import spawn_settle
from aiconsole.onhost.runner.beat import Beat
from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.runner.journal import events_of
from aiconsole.onhost.runner.lines import emit
from aiconsole.onhost.runner.record import RunRecord

_POLL_S = 0.03
_LOOK_EACH_S = 1.0
START_GRACE_S = 15.0
"""From the call until a runner that has written nothing counts as not started."""

_MOST_SETTLES = 3


def follow(record: RunRecord, seq: int, tool_path: str) -> None:
    """Emit the events from `seq` on, to the end of the run.

    A run without an end whose lock nobody holds has lost its runner: it is settled, and its
    events go on.

    Raises:
        Fault: The run could not be settled.
        BrokenPipeError: Nobody listens any more.
    """
    tail, beat = _Tail(record, seq), Beat()
    began = looked_at = time.monotonic()
    settling: subprocess.Popen[bytes] | None = None
    tries = 0
    while not tail.emit_new():
        time.sleep(_POLL_S)
        beat.maybe()
        now = time.monotonic()
        if now - looked_at < _LOOK_EACH_S or not (tail.begun or now - began > START_GRACE_S):
            continue
        looked_at = now
        if (settling is None or settling.poll() is not None) and not record.is_at_work():
            if tries == _MOST_SETTLES:
                raise not_settled(record)
            tries += 1
            settling = spawn_settle(tool_path, record.directory)
    if settling is not None:
        settling.wait()


def not_settled(record: RunRecord) -> Fault:
    """The fault of a run that stays half done."""
    return Fault(
        "internal",
        f"the runner of {record.plan.run_id} died and its run could not be settled",
        f"Look at {record.directory} on the host; a full disk would be a reason.",
    )


class _Tail:
    """Reads a journal from where it left off."""

    def __init__(self, record: RunRecord, seq: int) -> None:
        self._path = record.journal_path
        self._seq = seq
        self._offset = 0
        self.begun = False
        """True once the runner has written its first event."""

    def emit_new(self) -> bool:
        """Emit what has come; True at the end of the run."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return False
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        for event in events_of(whole):
            self.begun = True
            if event.seq >= self._seq:
                emit(event)
            if event.kind == "run-finished":
                return True
        return False
