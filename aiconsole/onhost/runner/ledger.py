"""The ledger of a host: one line for each finished run that changed the service."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiconsole.onhost.wire import Plan, RunEvent, RunOutcome

_TAIL_BYTES = 64 * 1024


def append(plan: Plan, events: Sequence[RunEvent], outcome: RunOutcome) -> None:
    """Write a run's line, once, even where its end is settled a second time."""
    if outcome == "unchanged":
        return
    path = Path(plan.layout.ledger)
    if any(entry.get("run_id") == plan.run_id for entry in tail(path)):
        return
    started = events[0].at_unix_s if events else time.time()
    entry = {
        "run_id": plan.run_id,
        "title": plan.title,
        "operator": plan.operator,
        "lock": plan.lock,
        "outcome": outcome,
        "started_unix_s": started,
        "elapsed_s": round(time.time() - started, 3),
        "swap": next((e.data["swap"] for e in reversed(events) if "swap" in e.data), None),
        "failed": next((e.text for e in events if e.kind == "step-failed"), ""),
    }
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # A line that a power cut or a full disk tore must not take this one with it.
        size_bytes = os.fstat(fd).st_size
        torn = size_bytes > 0 and os.pread(fd, 1, size_bytes - 1) != b"\n"
        os.write(fd, b"\n" * torn + json.dumps(entry).encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def tail(path: Path) -> list[dict[str, Any]]:
    """The newest entries; lines that a power cut tore are left out."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue  # torn by a power cut, or the cut edge of the tail
    return [entry for entry in entries if isinstance(entry, dict)]
