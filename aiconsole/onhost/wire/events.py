"""What a host answers to a plan: the check, the events of a run, its summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

ChangeKind: TypeAlias = Literal["none", "create", "change", "act", "unknown"]
"""`act`: it does something that leaves no object, as a swap. `unknown`: depends on another step."""


@dataclass(frozen=True, slots=True)
class StepCheck:
    """What one step would change."""

    step_id: str
    change: ChangeKind
    diff: str = ""
    """Unified diff of a file, empty for other kinds."""
    note: str = ""
    """One line, `102 MB into /opt/aiconsole/layers/3f9a…`."""
    missing_upload: str = ""
    """sha256 of the upload that this step would need and the host does not have."""
    problem: str = ""
    """Why it cannot be applied: no space, not a directory. Non-empty refuses the plan."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Answer to a plan that was checked and not run."""

    steps: tuple[StepCheck, ...]
    busy_run_id: str = ""
    """Run that holds the plan's lock now."""
    busy_operator: str = ""
    busy_since_unix_s: float = 0.0


EventKind: TypeAlias = Literal[
    "run-started", "step-started", "step-progress", "step-unchanged", "step-done", "step-failed",
    "undo-started", "step-undone", "undo-failed", "cancel-requested", "run-finished",
]  # fmt: skip
RunOutcome: TypeAlias = Literal["done", "unchanged", "undone", "cancelled", "broken"]
"""`undone`: a step failed and all was taken back. `broken`: the undo failed too."""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One line of a run's journal, written and fsynced before it counts."""

    seq: int
    """From 0, without gaps."""
    at_unix_s: float
    kind: EventKind
    step_id: str = ""
    text: str = ""
    """One line for the operator."""
    done_bytes: int = 0
    total_bytes: int = 0
    outcome: str = ""
    """`RunOutcome`, of `run-finished` only."""
    data: dict[str, Any] = field(default_factory=dict)
    """What a kind of step measured: `SwapTally` as a dict under `swap`, log lines under `log`."""


@dataclass(frozen=True, slots=True)
class SwapTally:
    """What users of the service noticed of a swap, measured on the host."""

    elapsed_s: float
    load_s: float
    """From the start of the new slot to its readiness."""
    requests_served: int
    """Completed by either slot during the swap."""
    requests_failed: int
    """5xx or cut by either slot during the swap."""
    probes: int
    """Connections that the runner made to the shared socket meanwhile, one each 50 ms."""
    probes_failed: int
    longest_wait_s: float
    """Of a probe, from connect to the answer's first byte."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run, as `runs` lists it."""

    run_id: str
    title: str
    lock: str
    operator: str
    started_unix_s: float
    finished_unix_s: float
    """0 while it runs."""
    outcome: str
    """`RunOutcome`, `running`, or `interrupted`: no end in the journal and nobody at work."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One file to send, before its bytes: its place is `HostLayout.upload(sha256)`."""

    sha256: str
    size_bytes: int
