"""A program to run, with its own check and undo."""

from __future__ import annotations

import shlex
from typing import Any

from aiconsole.onhost.runner.cancel import NEVER, Cancel
from aiconsole.onhost.runner.program import Finished, ProgramTimeout, run_program
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.wire import CommandStep, StepCheck


class CommandKind:
    """Runs argv lists, never a shell; the end of the output stands in the event of a failure."""

    def check(self, step: CommandStep, context: Context) -> StepCheck:
        """`none` where `check_argv` exits with 0; `act` elsewhere."""
        if step.check_argv and _run(step.check_argv, step, NEVER).ok:
            return StepCheck(step.id, "none")
        return StepCheck(step.id, "act", note=shlex.join(step.argv))

    def save(self, step: CommandStep, context: Context) -> dict[str, Any]:
        """Nothing: the plan says how to take it back."""
        return {}

    def apply(self, step: CommandStep, context: Context) -> None:
        """Run it; anything but exit status 0 fails the step."""
        _expect_ok(_run(step.argv, step, context.cancel))

    def undo(self, step: CommandStep, context: Context, saved: dict[str, Any]) -> None:
        """Run `undo_argv`; it may fail where the check says that nothing is left of the step."""
        if not step.undo_argv:
            return
        undone = _run(step.undo_argv, step, NEVER)
        if not undone.ok and step.check_argv and not _run(step.check_argv, step, NEVER).ok:
            return
        _expect_ok(undone)


def _run(argv: tuple[str, ...], step: CommandStep, cancel: Cancel) -> Finished:
    try:
        return run_program(argv, timeout_s=step.timeout_s, cancel=cancel)
    except ProgramTimeout as error:
        raise StepError(str(error)) from None


def _expect_ok(done: Finished) -> None:
    if not done.ok:
        raise StepError(
            f"{shlex.join(done.argv)} exited with {done.exit_status}",
            data={"log": done.last_lines()},
        )
