"""Mode and owner of files and directories: wanted, as they are, and back again."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.durable import owner_ids
from aiconsole.onhost.runner.steps.kind import Context, StepError


def ids_for(owner: str) -> tuple[int, int]:
    """The uid and gid of the wanted owner; (-1, -1) to leave it.

    Raises:
        StepError: There is no such user.
    """
    try:
        return owner_ids(owner)
    except KeyError:
        raise StepError(f"there is no user {owner} on this host") from None


def ownership_problem(owner: str, context: Context) -> str:
    """Why a file cannot be given to this owner; empty where it can."""
    if not owner or owner in context.planned:
        return ""
    try:
        uid, _ = owner_ids(owner)
    except KeyError:
        return f"there is no user {owner} on this host"
    if os.geteuid() not in (0, uid):
        return f"only root can give files to {owner}"
    return ""


def difference(path: Path, mode: int, owner: str) -> str:
    """What `set_ownership` would change, as one line; empty where nothing."""
    now = path.stat()
    parts = []
    if stat.S_IMODE(now.st_mode) != mode:
        parts.append(f"mode {stat.S_IMODE(now.st_mode):04o} -> {mode:04o}")
    try:
        uid, _ = owner_ids(owner)
    except KeyError:
        uid = -2
    if uid not in (-1, now.st_uid):
        parts.append(f"owner {_name(now.st_uid)} -> {owner}")
    return ", ".join(parts)


def set_ownership(path: Path, mode: int, ids: tuple[int, int]) -> None:
    """Give the path its owner, then its mode (a change of owner clears special bits)."""
    if ids != (-1, -1):
        os.chown(path, *ids)
    path.chmod(mode)


def saved_ownership(path: Path) -> dict[str, Any]:
    """Mode and owner as they are, for `restore`."""
    now = path.stat()
    return {"mode": stat.S_IMODE(now.st_mode), "uid": now.st_uid, "gid": now.st_gid}


def restore(path: Path, saved: dict[str, Any]) -> None:
    """Bring back what `saved_ownership` saw."""
    now = path.stat()
    if (now.st_uid, now.st_gid) != (saved["uid"], saved["gid"]):
        os.chown(path, saved["uid"], saved["gid"])
    if stat.S_IMODE(path.stat().st_mode) != saved["mode"]:
        path.chmod(saved["mode"])


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
