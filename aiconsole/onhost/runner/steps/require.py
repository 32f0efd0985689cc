"""Files that the service will open, and that nobody brings: they must be there before it starts."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.wire import RequireStep, StepCheck


class RequireKind:
    """Looks, and refuses the plan before anything has changed."""

    def check(self, step: RequireStep, context: Context) -> StepCheck:
        """`none` where the service can read every one of them."""
        problems = [problem for path in step.paths if (problem := _problem(path, step))]
        return StepCheck(step.id, "none", problem="; ".join(problems))

    def save(self, step: RequireStep, context: Context) -> dict[str, Any]:
        """Nothing to take back."""
        return {}

    def apply(self, step: RequireStep, context: Context) -> None:
        """Nothing to do: the check has seen all."""

    def undo(self, step: RequireStep, context: Context, saved: dict[str, Any]) -> None:
        """Nothing to take back."""


def _problem(text: str, step: RequireStep) -> str:
    """Why the service cannot open a file; empty where it can."""
    path = Path(text)
    if not path.is_absolute():
        return f"{text} is not an absolute path"
    real = Path(os.path.realpath(path))
    for hidden in step.hidden:
        if real == Path(hidden) or Path(hidden) in real.parents:
            return f"{text} lies under {hidden}, which the service cannot see; use /etc or /srv"
    try:
        status = real.stat()
    except OSError as error:
        return f"{text}: {error.strerror or error}"
    if not stat.S_ISREG(status.st_mode):
        return f"{text} is not a regular file"
    if step.reader and not _readable(real, step.reader):
        return f"{text} cannot be read by the user {step.reader}; give its group the right"
    if not step.reader and not os.access(real, os.R_OK):
        return f"{text} cannot be read by this user"
    return ""


def _readable(path: Path, user: str) -> bool:
    """Whether a user's ids and the modes let it in; an ACL is not looked at.

    Raises:
        StepError: The directories around it cannot be looked at.
    """
    uid, gids = _identity(user)
    try:
        around = [(parent.stat(), 0o1) for parent in path.parents]
        checked = [*around, (path.stat(), 0o4)]
    except OSError as error:
        raise StepError(f"{path}: {error.strerror or error}") from error
    return all(_has(status, bit, uid, gids) for status, bit in checked)


def _identity(user: str) -> tuple[int, set[int]]:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return -1, set()
    return entry.pw_uid, set(os.getgrouplist(user, entry.pw_gid))


def _has(status: os.stat_result, bit: int, uid: int, gids: set[int]) -> bool:
    if status.st_uid == uid:
        bit <<= 6
    elif status.st_gid in gids:
        bit <<= 3
    return bool(status.st_mode & bit)
