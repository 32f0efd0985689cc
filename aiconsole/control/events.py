"""What an operation on a host tells while it goes on; CLI and TUI render the same events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from aiconsole.errors import AiconsoleError
from aiconsole.onhost.wire import LOOKS_ONLY, CheckReport, Plan, RunEvent, RunSummary, SwapTally
from aiconsole.secret import Secret

Phase: TypeAlias = Literal["connect", "inspect", "build", "check", "upload", "run"]
LinkState: TypeAlias = Literal["up", "unknown"]


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """The operation turns to its next part."""

    host: str
    phase: Phase
    text: str
    """`Connect to root@10.0.0.5`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a part is."""

    host: str
    phase: Phase
    text: str
    done_bytes: int
    total_bytes: int
    """0 where nobody knows it yet."""


@dataclass(frozen=True, slots=True)
class PlanReady:
    """What would change; nothing has changed yet."""

    host: str
    plan: Plan
    report: CheckReport
    upload_bytes: int
    """To send before the run, what the host has already is not counted."""
    notes: tuple[str, ...] = ()
    """What the operator should know before a yes: the expected stall of a held swap, a warning."""

    @property
    def changes(self) -> bool:
        """False where the host is already as the plan wants it; a look alone is no change."""
        return any(
            check.change != "none"
            for step, check in zip(self.plan.steps, self.report.steps, strict=True)
            if not isinstance(step, LOOKS_ONLY)
        )


@dataclass(frozen=True, slots=True)
class RunAdvanced:
    """The run on the host wrote a line into its journal."""

    host: str
    run_id: str
    event: RunEvent


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The line to the host was lost (`unknown`) or is back (`up`); the run itself goes on."""

    host: str
    state: LinkState
    text: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else's run holds the host; the operator is asked whether to watch it."""

    host: str
    run: RunSummary


@dataclass(frozen=True, slots=True)
class Result:
    """The end of an operation on one host."""

    host: str
    outcome: Literal["done", "unchanged", "planned", "undone", "cancelled", "broken", "failed",
                     "refused", "skipped", "unknown"]  # fmt: skip
    """`planned`: only shown. `refused`: nobody said yes, or preflight said no. `skipped`: an
    earlier host of the batch failed. `failed`: it ended before a run began. `unknown`: the run
    cannot be followed any more, and goes on or undoes itself on the host."""
    title: str
    """One line for the operator."""
    run_id: str = ""
    release_id: str = ""
    url: str = ""
    elapsed_s: float = 0.0
    steps_s: dict[str, float] = field(default_factory=dict)
    """Time by step id, phases of the console under `console:<phase>`."""
    tally: SwapTally | None = None
    error: AiconsoleError | None = None
    log: tuple[str, ...] = ()
    """The last lines of a release that did not start."""
    client_key: Secret | None = None
    """A new key, to be shown once."""

    @property
    def exit_code(self) -> int:
        """0 fine, 1 refused or cancelled, 2 failed."""
        if self.outcome in ("done", "unchanged", "planned"):
            return 0
        if self.error is not None:
            return self.error.exit_code
        return 1 if self.outcome in ("refused", "skipped", "cancelled") else 2


Event: TypeAlias = PhaseStarted | Progress | PlanReady | RunAdvanced | LinkChanged | Busy | Result
