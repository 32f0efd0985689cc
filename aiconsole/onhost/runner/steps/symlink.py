"""A symbolic link, switched in one instant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.steps import before
from aiconsole.onhost.runner.steps.file import place_problem
from aiconsole.onhost.runner.steps.kind import Context
from aiconsole.onhost.wire import StepCheck, SymlinkStep


class SymlinkKind:
    """Switches it with rename(2), so that there is no moment without it."""

    def check(self, step: SymlinkStep, context: Context) -> StepCheck:
        """Where it points now, or why there can be no link."""
        path = Path(step.path)
        if problem := place_problem(path, context):
            return StepCheck(step.id, "unknown", problem=problem)
        if path.is_symlink():
            target = str(path.readlink())
            if target == step.target:
                return StepCheck(step.id, "none")
            return StepCheck(step.id, "change", note=f"{target} -> {step.target}")
        if path.exists():
            return StepCheck(step.id, "unknown", problem=f"{path} is a file, not a symbolic link")
        return StepCheck(step.id, "create", note=f"-> {step.target}")

    def save(self, step: SymlinkStep, context: Context) -> dict[str, Any]:
        """Where it points now."""
        return before.keep(Path(step.path), step.id, context)

    def apply(self, step: SymlinkStep, context: Context) -> None:
        """Make it beside and rename it over the old one."""
        before.put_link(Path(step.path), step.target, context.run_id)

    def undo(self, step: SymlinkStep, context: Context, saved: dict[str, Any]) -> None:
        """It points where it pointed."""
        before.bring_back(Path(step.path), step.id, context, saved)
