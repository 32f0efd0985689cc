"""Has a run executed by who outlives this connection: systemd, or the keeper."""

from __future__ import annotations

import time

from aiconsole.onhost.runner.archive import tool_argv
from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.runner.lock import Holder, holder_of
from aiconsole.onhost.runner.program import ProgramTimeout, run_program
from aiconsole.onhost.runner.record import RunRecord

_NAME_LINGERS_S = 10.0
_UNDO_MAY_TAKE_S = 1800
"""An undo may have to load the old model again."""


def launch(record: RunRecord, tool_path: str) -> None:
    """Start the runner of a run, under the name of its lock.

    A run that has just ended keeps the name for a moment, while `settle` looks after it.

    Raises:
        Fault: `busy` where that name is taken, `no-runtime` where nobody can execute runs.
    """
    plan = record.plan
    attempt = _under_systemd if plan.layout.runtime == "systemd" else _under_keeper
    deadline = time.monotonic() + _NAME_LINGERS_S
    while not attempt(record, tool_path):
        if (holder := holder_of(plan.layout, plan.lock)) is not None:
            raise busy_fault(holder)
        if time.monotonic() > deadline:
            raise busy_fault(Holder("", "", 0.0, 0))
        time.sleep(0.05)


def busy_fault(holder: Holder) -> Fault:
    """The fault that tells who holds the lock."""
    return Fault(
        "busy",
        f"{holder.operator or 'another operator'} runs {holder.run_id or 'another plan'} here",
        "Watch it, or wait until it is through.",
        {
            "run_id": holder.run_id,
            "operator": holder.operator,
            "since_unix_s": holder.since_unix_s,
        },
    )


def unit_argv(record: RunRecord, tool_path: str) -> tuple[str, ...]:
    """The transient service of a run.

    A service of the system's manager does not end with a login session. `mixed`: a stop asks
    the runner alone, so that it can take back what its children did.
    """
    run_dir = str(record.directory)
    return (
        "systemd-run", "--quiet", "--collect", f"--unit=aiconsole-run-{record.plan.lock}",
        "--description=aiconsole: run " + record.plan.run_id,
        "--property=Type=exec", "--property=KillMode=mixed",
        f"--property=TimeoutStopSec={_UNDO_MAY_TAKE_S}",
        "--property=ExecStopPost=" + " ".join(tool_argv(tool_path, "settle", run_dir)),
        *tool_argv(tool_path, "run", run_dir),
    )  # fmt: skip


def _under_systemd(record: RunRecord, tool_path: str) -> bool:
    """True where it is started, False where the unit's name is taken."""
    try:
        done = run_program(unit_argv(record, tool_path), timeout_s=60.0)
    except ProgramTimeout as error:
        raise Fault("no-runtime", f"systemd does not answer: {error}") from None
    if done.ok:
        return True
    if "already" in done.stderr:
        return False
    last = (done.stderr.strip().splitlines() or [f"exit status {done.exit_status}"])[-1]
    raise Fault("no-runtime", f"systemd-run could not start the runner: {last}")


def _under_keeper(record: RunRecord, tool_path: str) -> bool:
    """True where it is started, False where the keeper runs another under this lock."""
    # Imported here: under systemd the keeper's rooms are never needed.
    from aiconsole.onhost.keeper import KeeperFault, ensure_keeper

    plan, run_dir = record.plan, str(record.directory)
    try:
        ensure_keeper(plan.layout, tool_path).run(
            plan.lock,
            tool_argv(tool_path, "run", run_dir),
            tool_argv(tool_path, "settle", run_dir),
        )
    except KeeperFault as error:
        if error.code == "busy":
            return False
        data: dict[str, object] = {"log": list(error.log)}
        raise Fault("no-runtime", f"the keeper: {error.text}", data=data) from None
    return True
