"""Asks a run to stop and to take back what it did."""

from __future__ import annotations

import contextlib
import os
import signal

from aiconsole.onhost.runner.journal import end_of
from aiconsole.onhost.runner.lock import holder_of
from aiconsole.onhost.runner.record import RunRecord


def cancel(record: RunRecord) -> None:
    """Leave the wish beside the run, and tell its runner; one that has ended is left alone.

    The process to tell is the one that holds the lock: its pid cannot be another's while it does.
    """
    if end_of(record.journal_path):
        return
    try:
        record.cancel_path.touch(mode=0o600)
    finally:
        # Even where a full disk takes no wish: its runner can be told.
        holder = holder_of(record.plan.layout, record.plan.lock)
        if holder is not None and holder.run_id == record.plan.run_id:
            with contextlib.suppress(ProcessLookupError):
                os.kill(holder.pid, signal.SIGTERM)
