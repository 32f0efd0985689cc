"""Why nothing can be written at a place, told before anything is changed."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from aiconsole.onhost.runner.space import existing


def write_problem(directory: Path) -> str:
    """One line where nothing can be made in `directory`, or in its nearest parent that exists."""
    place = existing(directory)
    if not place.is_dir():
        return f"{place} is not a directory"
    if os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        return ""
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return f"{place} is on a read-only filesystem"
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = f"uid {os.geteuid()}"
    return f"{place} cannot be written to by {user}"
