"""What this console did to hosts, one JSON line for each run, beside the host's own ledger."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from aiconsole import paths
from aiconsole.control.events import Result
from aiconsole.onhost.wire import Plan, to_json


def ledger_file() -> Path:
    """Where the lines stand."""
    return paths.state_dir() / "ledger.jsonl"


def note_run(plan: Plan, result: Result) -> None:
    """Append the end of a run.

    A ledger that cannot be written is no reason to hide how the run ended: the host keeps its
    own, and the next line will say the same of the disk.
    """
    line = {
        "at_unix_s": round(time.time(), 3),
        "host": result.host,
        "run_id": plan.run_id,
        "title": plan.title,
        "operator": plan.operator,
        "outcome": result.outcome,
        "elapsed_s": round(result.elapsed_s, 3),
        "swap": to_json(result.tally),
    }
    with suppress(OSError):
        descriptor = os.open(ledger_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
