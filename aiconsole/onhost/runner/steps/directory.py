"""A directory with its mode and owner."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.durable import sync_directory
from aiconsole.onhost.runner.steps.kind import Context
from aiconsole.onhost.runner.steps.ownership import (
    difference,
    ids_for,
    ownership_problem,
    restore,
    saved_ownership,
    set_ownership,
)
from aiconsole.onhost.runner.writable import write_problem
from aiconsole.onhost.wire import DirectoryStep, StepCheck


class DirectoryKind:
    """Makes it with its missing parents; undo removes what was made, where it is empty."""

    def check(self, step: DirectoryStep, context: Context) -> StepCheck:
        """`create`, `change` for another mode or owner, or a problem."""
        path = Path(step.path)
        if problem := ownership_problem(step.owner, context):
            return StepCheck(step.id, "unknown", problem=problem)
        if path.is_dir():
            note = difference(path, step.mode, step.owner)
            return StepCheck(step.id, "change" if note else "none", note=note)
        if path.exists() or path.is_symlink():
            return StepCheck(step.id, "unknown", problem=f"{path} exists and is not a directory")
        return StepCheck(step.id, "create", note=str(path), problem=write_problem(path.parent))

    def save(self, step: DirectoryStep, context: Context) -> dict[str, Any]:
        """Which directories are missing, the outermost first; or the mode and owner of now."""
        path = Path(step.path)
        missing = [str(p) for p in (*reversed(path.parents), path) if not p.exists()]
        return {"missing": missing, **({} if missing else saved_ownership(path))}

    def apply(self, step: DirectoryStep, context: Context) -> None:
        """Make it and its missing parents; parents are 0755."""
        path = Path(step.path)
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        set_ownership(path, step.mode, ids_for(step.owner))
        sync_directory(path.parent)

    def undo(self, step: DirectoryStep, context: Context, saved: dict[str, Any]) -> None:
        """Remove what was made and is empty, or give mode and owner back."""
        if not saved["missing"]:
            restore(Path(step.path), saved)
        for made in reversed(saved["missing"]):
            # Somebody put something into it meanwhile: it is theirs now.
            with contextlib.suppress(OSError):
                if stat.S_ISDIR(Path(made).lstat().st_mode):
                    Path(made).rmdir()
