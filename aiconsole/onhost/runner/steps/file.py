"""A small text file."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.durable import write_file
from aiconsole.onhost.runner.steps import before
from aiconsole.onhost.runner.steps.diff import unified
from aiconsole.onhost.runner.steps.kind import Context
from aiconsole.onhost.runner.steps.ownership import difference, ids_for, ownership_problem
from aiconsole.onhost.runner.writable import write_problem
from aiconsole.onhost.wire import FileStep, StepCheck


class FileKind:
    """Replaces it atomically, with its mode and owner; undo brings back what was there."""

    def check(self, step: FileStep, context: Context) -> StepCheck:
        """The diff, or only the mode and owner; private files show no content."""
        path = Path(step.path)
        if problem := place_problem(path, context) or ownership_problem(step.owner, context):
            return StepCheck(step.id, "unknown", problem=problem)
        found = self._compare(step, path)
        if found.change != "none" and path.parent.is_dir():
            return replace(found, problem=write_problem(path.parent))
        return found

    def _compare(self, step: FileStep, path: Path) -> StepCheck:
        wanted = step.content.encode()
        if step.create_only and path.exists():
            return StepCheck(step.id, "none", note="it is there and stays as it is")
        if not path.exists() and not path.is_symlink():
            return StepCheck(step.id, "create", _diff(step, b""), f"{len(wanted)} bytes")
        if path.is_symlink():
            return StepCheck(step.id, "change", note=f"{path} is a symbolic link now")
        present = path.read_bytes()
        note = difference(path, step.mode, step.owner)
        if present == wanted:
            return StepCheck(step.id, "change" if note else "none", note=note)
        return StepCheck(step.id, "change", _diff(step, present), note)

    def save(self, step: FileStep, context: Context) -> dict[str, Any]:
        """The file as it is."""
        return before.keep(Path(step.path), step.id, context)

    def apply(self, step: FileStep, context: Context) -> None:
        """Write it beside, fsync, rename."""
        write_file(
            Path(step.path), step.content.encode(), step.mode, ids=ids_for(step.owner),
            beside=context.run_id,
        )  # fmt: skip

    def undo(self, step: FileStep, context: Context, saved: dict[str, Any]) -> None:
        """What was there is there again."""
        before.bring_back(Path(step.path), step.id, context, saved)


def place_problem(path: Path, context: Context) -> str:
    """Why no file can be written at `path`; empty where it can."""
    parent = path.parent
    if not parent.exists():
        made = str(parent) in context.planned
        return "" if made else f"the directory {parent} does not exist"
    if not parent.is_dir():
        return f"{parent} is not a directory"
    if path.exists() and not path.is_symlink() and not stat.S_ISREG(path.stat().st_mode):
        return f"{path} exists and is not a regular file"
    return ""


def _diff(step: FileStep, present: bytes) -> str:
    if not step.mode & stat.S_IROTH:
        return ""
    return unified(step.path, present, step.content.encode())
