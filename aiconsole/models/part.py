"""A file that is on its way: its bytes so far, and what they are bytes of."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiconsole import paths
from aiconsole.errors import BusyError

_MOST_CHARS = 500


@dataclass(frozen=True, slots=True)
class Mark:
    """What the server said of the file whose bytes are here."""

    validator: str = ""
    """A strong ETag or the time of its last change: the same one, the same bytes."""
    total_bytes: int = 0
    """0 where the server does not say."""


class Part:
    """The bytes of one address, kept over cuts and over runs of the console."""

    def __init__(self, folder: Path, key: str) -> None:
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        self.path = folder / f"{name}.part"
        self._note = folder / f"{name}.json"

    @property
    def size_bytes(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def mark(self) -> Mark:
        """What is known of them; nothing where the note is missing or damaged."""
        try:
            known: Any = json.loads(self._note.read_bytes())
            mark = Mark(**known)
        except (OSError, ValueError, TypeError):
            return Mark()
        good = isinstance(mark.validator, str) and type(mark.total_bytes) is int
        # It goes back to the server as a header.
        fit = good and mark.validator.isascii() and mark.validator.isprintable()
        return mark if fit and len(mark.validator) <= _MOST_CHARS else Mark()

    def begin(self, mark: Mark) -> None:
        """Drop the bytes: others will come, of the file that is marked so."""
        self.path.unlink(missing_ok=True)
        paths.write_atomic(self._note, json.dumps(asdict(mark)).encode())

    def drop(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def forget_note(self) -> None:
        """After the file went to its place."""
        self._note.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other consoles away while it is fetched.

        Raises:
            BusyError: One is at it.
        """
        lock = self.path.with_suffix(".lock")
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    "This file is being fetched already",
                    "another aiconsole on this machine is at it",
                    "Wait for it to end; then `aiconsole models list` shows the model",
                ) from None
            yield
        finally:
            os.close(handle)
