"""Removes what nothing refers to any more."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiconsole.onhost.runner.faults import text_of
from aiconsole.onhost.runner.leavings import Leaving, leavings
from aiconsole.onhost.runner.space import human
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.runner.tree import remove_tree
from aiconsole.onhost.wire import PruneStep, StepCheck


class PruneKind:
    """The last step of a plan: it cannot be undone, and its failure is only a warning."""

    def check(self, step: PruneStep, context: Context) -> StepCheck:
        """What would go now; `none` where nothing."""
        found = _found(step, context)
        return StepCheck(step.id, "act" if found else "none", note=_tell(found))

    def save(self, step: PruneStep, context: Context) -> dict[str, Any]:
        """Nothing: what nothing refers to is not brought back."""
        return {}

    def apply(self, step: PruneStep, context: Context) -> None:
        """Remove one after the other, going on past failures."""
        failed = []
        for leaving in _found(step, context):
            size_bytes = leaving.size_bytes
            try:
                remove_tree(leaving.path, context.run_id)
            except OSError as error:
                failed.append(f"{leaving.path}: {text_of(error)}")
            else:
                context.say(f"Removed {leaving.what} {leaving.path.name} ({human(size_bytes)})")
        if failed:
            raise StepError(
                f"{len(failed)} leftovers could not be removed: {failed[0]}", data={"log": failed}
            )

    def undo(self, step: PruneStep, context: Context, saved: dict[str, Any]) -> None:
        """Nothing can be brought back, and nothing of it is missed."""


def _found(step: PruneStep, context: Context) -> list[Leaving]:
    return list(leavings(step.layout, step.keep_releases, context.tool_path))


def _tell(found: list[Leaving]) -> str:
    counts = Counter(leaving.what for leaving in found)
    named = ", ".join(f"{n} {what}{'s' if n > 1 else ''}" for what, n in counts.items())
    return f"{named} ({human(sum(leaving.size_bytes for leaving in found))})" if found else ""
