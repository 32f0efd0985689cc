"""Room on the root filesystem."""

from __future__ import annotations

import os
from dataclasses import dataclass

from aiconsole.onhost.probe.paced import SourceError


@dataclass(frozen=True, slots=True)
class Room:
    """Size of a filesystem."""

    total_bytes: int
    free_bytes: int
    """For an ordinary user."""


class RootRoom:
    """A source of `Room`: statvfs may hang on a mount that is dead."""

    interval_s = 5.0
    deadline_s = 2.0

    def __init__(self, path: str = "/") -> None:
        self._path = path

    def read(self) -> Room:
        """Ask the filesystem."""
        try:
            stat = os.statvfs(self._path)
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from error
        return Room(stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize)
