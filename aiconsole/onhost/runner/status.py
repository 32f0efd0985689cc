"""The service on this host as it is: slots, releases, runs."""

from __future__ import annotations

import itertools
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner import runtimes
from aiconsole.onhost.runner.admin import Admin, NoAnswer
from aiconsole.onhost.runner.record import all_records
from aiconsole.onhost.wire import (
    HostLayout,
    HostStatus,
    ServiceState,
    SlotStatus,
    WireError,
    from_json,
)

_RUNS = 20
_VERDICT_S = 1.0


def status(layout: HostLayout) -> HostStatus:
    """Everything that `aiconsole status` shows of a host."""
    return HostStatus(
        layout,
        service_state(layout),
        tuple(_with_verdict(layout, slot) for slot in runtimes.of(layout).slots()),
        tuple(releases(layout)),
        tuple(record.summary() for record in itertools.islice(all_records(layout), _RUNS)),
    )


def _with_verdict(layout: HostLayout, slot: SlotStatus) -> SlotStatus:
    """Ask the daemon what it found of its model's file; one that hangs holds nobody up."""
    if slot.state not in ("ready", "draining"):
        return slot
    try:
        verdict = Admin(layout, slot.slot).status(_VERDICT_S).get("model_verified")
    except NoAnswer:
        return slot
    return replace(slot, model_verified=str(verdict or "")[:40])


def service_state(layout: HostLayout) -> ServiceState:
    """What is deployed; nothing where the state file is missing or from another version."""
    try:
        return from_json(ServiceState, json.loads(Path(layout.state_file).read_bytes()))
    except (FileNotFoundError, WireError, ValueError):
        return ServiceState()


def releases(layout: HostLayout) -> list[dict[str, Any]]:
    """release.json of each release and when it came (`created_unix_s`), the newest first.

    One that cannot be read is left out.
    """
    found = []
    for file in Path(layout.release("x")).parent.glob("*/release.json"):
        try:
            found.append((file.stat().st_mtime, file.parent.name, json.loads(file.read_bytes())))
        except (OSError, ValueError):
            continue
    found.sort(key=lambda item: item[:2], reverse=True)
    return [
        {**release, "created_unix_s": created_unix_s}
        for created_unix_s, _, release in found
        if isinstance(release, dict)
    ]


def serving_releases(layout: HostLayout) -> set[str]:
    """Ids of the releases that slots point to, and of those that the state file names."""
    state = service_state(layout)
    ids = {state.release_id, state.previous_release_id}
    for slot in ("a", "b"):
        try:
            ids.add(Path(os.readlink(layout.slot(slot))).name)  # noqa: PTH115 - the text is wanted
        except OSError:
            continue
    return ids - {""}
