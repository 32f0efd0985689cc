"""Asks systemd about units and has it act on them."""

from __future__ import annotations

from dataclasses import dataclass

from aiconsole.onhost.runner.cancel import NEVER, Cancel
from aiconsole.onhost.runner.program import ProgramTimeout, run_program
from aiconsole.onhost.runner.steps.kind import StepError

_ACT_TIMEOUT_S = 90.0
_PROPERTIES = ("ActiveState", "UnitFileState", "NeedDaemonReload", "Listen")


@dataclass(frozen=True, slots=True)
class UnitNow:
    """A unit as systemd sees it."""

    active: bool
    """Active, or on the way there or from there."""
    enabled: bool
    needs_reload: bool
    """Its file on the disk is newer than what systemd has read."""
    listens: str
    """Of a socket, where it listens; empty for other kinds."""


def show(unit: str) -> UnitNow:
    """What systemd knows about a unit; one that it does not know is simply inactive.

    systemd answers for units and not for templates: one is seen through an instance that
    nobody starts.

    Raises:
        StepError: systemd does not answer.
    """
    name = unit.replace("@.", "@nobody.")
    done = run_program(
        ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", name], timeout_s=15.0
    )
    if not done.ok:
        raise StepError(f"systemd does not answer: {_last_line(done.stderr)}")
    values = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    return UnitNow(
        active=values.get("ActiveState") not in ("inactive", "failed", None),
        enabled=values.get("UnitFileState", "").startswith("enabled"),
        needs_reload=values.get("NeedDaemonReload") == "yes",
        listens=values.get("Listen", ""),
    )


def act(verb: str, unit: str = "", cancel: Cancel = NEVER) -> None:
    """Have systemd do something, and wait until it is done.

    Raises:
        StepError: It failed or took too long; the text is systemd's own.
        Cancelled: The run was cancelled meanwhile; systemd may go on with its job.
    """
    argv = ["systemctl", verb, *(["--", unit] if unit else [])]
    try:
        done = run_program(argv, timeout_s=_ACT_TIMEOUT_S, cancel=cancel)
    except ProgramTimeout:
        raise StepError(f"systemctl {verb} {unit} took over {_ACT_TIMEOUT_S:g} s") from None
    if not done.ok:
        raise StepError(
            f"systemctl {verb} {unit} failed: {_last_line(done.stderr)}",
            data={"log": done.last_lines()},
        )


def forget_failure(unit: str) -> None:
    """Let a removed unit go from systemd's list of failed ones; it may not be on it."""
    run_program(["systemctl", "reset-failed", "--", unit], timeout_s=15.0)


def last_log_lines(unit: str, count: int = 20) -> list[str]:
    """The end of what a unit wrote to the journal; empty where that cannot be read."""
    try:
        done = run_program(
            ["journalctl", f"--unit={unit}", f"--lines={count}", "--output=cat", "--no-pager"],
            timeout_s=10.0,
        )
    except ProgramTimeout:
        return []
    return done.stdout.splitlines()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
