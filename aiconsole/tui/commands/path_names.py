"""The files of this machine that a path could become."""

from __future__ import annotations

import os
from pathlib import Path

MAX_NAMES = 200


def path_names(text: str) -> tuple[str, ...]:
    """Directories (ending in `/`) and GGUF files whose path begins with the text; `~` stays.

    It reads a directory, which may hang on a network filesystem: never call it on the event loop.
    """
    folder, slash, start = text.rpartition("/")
    names: list[str] = []
    try:
        place = Path(folder + slash).expanduser() if slash else Path()
        with os.scandir(place) as entries:
            for entry in entries:
                name = entry.name
                hidden = name.startswith(".") and not start.startswith(".")
                if hidden or not name.startswith(start) or not name.isprintable():
                    continue
                if entry.is_dir():
                    names.append(f"{folder}{slash}{name}/")
                elif name.endswith(".gguf"):
                    names.append(f"{folder}{slash}{name}")
    except (OSError, RuntimeError):
        # No such directory or home, or none that may be read: nothing to offer.
        return ()
    return tuple(sorted(names)[:MAX_NAMES])
