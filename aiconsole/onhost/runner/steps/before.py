"""A small file as it was before a step: kept for its undo, and brought back."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path
from typing import Any

from aiconsole.onhost.runner.durable import leftover, remove_file, sync_directory, write_file
from aiconsole.onhost.runner.steps.kind import Context


def keep(path: Path, step_id: str, context: Context) -> dict[str, Any]:
    """Store what is at `path` beside the run; returns what `bring_back` needs."""
    try:
        now = path.lstat()
    except FileNotFoundError:
        return {"was": "missing"}
    if stat.S_ISLNK(now.st_mode):
        return {"was": "link", "target": str(path.readlink())}
    write_file(context.undo_dir(step_id) / "before", path.read_bytes(), 0o600)
    mode = stat.S_IMODE(now.st_mode)
    return {"was": "file", "mode": mode, "uid": now.st_uid, "gid": now.st_gid}


def bring_back(path: Path, step_id: str, context: Context, saved: dict[str, Any]) -> None:
    """Put at `path` what `keep` saw there, and clear away a half-written successor."""
    remove_file(leftover(path, context.run_id))
    if saved["was"] == "missing":
        remove_file(path)
    elif saved["was"] == "link":
        if not path.is_symlink() or str(path.readlink()) != saved["target"]:
            put_link(path, saved["target"], context.run_id)
    else:
        content = (context.undo_dir(step_id) / "before").read_bytes()
        ids = (saved["uid"], saved["gid"])
        if _is_file(path, content, saved["mode"], ids):
            return
        write_file(path, content, saved["mode"], ids=ids, beside=context.run_id)


def _is_file(path: Path, content: bytes, mode: int, ids: tuple[int, int]) -> bool:
    """True where exactly this is there already."""
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    as_wanted = (stat.S_IFMT(now.st_mode), stat.S_IMODE(now.st_mode), now.st_uid, now.st_gid)
    return as_wanted == (stat.S_IFREG, mode, *ids) and path.read_bytes() == content


def put_link(path: Path, target: str, beside: str) -> None:
    """Make `path` a symbolic link to `target`, atomically."""
    temporary = leftover(path, beside)
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.rename(path)
    sync_directory(path.parent)
