"""A system user without a shell."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from typing import Any

from aiconsole.onhost.runner.program import run_program
from aiconsole.onhost.runner.steps.kind import Context, StepError
from aiconsole.onhost.wire import StepCheck, UserStep


class UserKind:
    """Made with useradd and its own group; joins those of the named groups that the host has."""

    def check(self, step: UserStep, context: Context) -> StepCheck:
        """`create`, or `change` where it exists and is missing from a group."""
        missing = _missing_groups(step)
        change = not _exists(step.name) or bool(missing)
        tool = "usermod" if _exists(step.name) else "useradd"
        if change and os.geteuid() != 0:
            return StepCheck(step.id, "unknown", problem="only root can make users")
        if change and shutil.which(tool) is None:
            return StepCheck(step.id, "unknown", problem=f"{tool} is not on this host")
        if not _exists(step.name):
            return StepCheck(step.id, "create", note=f"system user {step.name}")
        note = f"joins {', '.join(missing)}" if missing else ""
        return StepCheck(step.id, "change" if missing else "none", note=note)

    def save(self, step: UserStep, context: Context) -> dict[str, Any]:
        """Whether it exists, and which groups it is to join."""
        return {"existed": _exists(step.name), "joins": _missing_groups(step)}

    def apply(self, step: UserStep, context: Context) -> None:
        """Make it, or let it join the groups."""
        groups = ",".join(_missing_groups(step))
        if _exists(step.name):
            _expect_ok(["usermod", "--append", "--groups", groups, step.name])
            return
        own_group = ["--gid", step.name] if _group_exists(step.name) else ["--user-group"]
        _expect_ok(
            ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent",
             "--shell", "/usr/sbin/nologin", *own_group,
             *(["--groups", groups] if groups else []), step.name]
        )  # fmt: skip

    def undo(self, step: UserStep, context: Context, saved: dict[str, Any]) -> None:
        """Remove it if it was made, or let it leave the groups that it joined."""
        if not _exists(step.name):
            return
        if not saved["existed"]:
            _expect_ok(["userdel", step.name])
            return
        for group in set(saved["joins"]) - set(_missing_groups(step)):
            _expect_ok(["gpasswd", "--delete", step.name, group])


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _missing_groups(step: UserStep) -> list[str]:
    """Groups that the host has and the user is not in."""
    present = [name for name in step.groups if _group_exists(name)]
    if not _exists(step.name):
        return present
    primary = pwd.getpwnam(step.name).pw_gid
    groups = [grp.getgrnam(name) for name in present]
    return [g.gr_name for g in groups if step.name not in g.gr_mem and g.gr_gid != primary]


def _expect_ok(argv: list[str]) -> None:
    done = run_program(argv, timeout_s=60.0)
    if not done.ok:
        raise StepError(
            f"{argv[0]} exited with {done.exit_status}", data={"log": done.last_lines()}
        )
