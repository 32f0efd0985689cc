"""The model's whole digest, read in the background while the model is already served."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeAlias

from aiconsole.onhost.inferd.settings import ModelSettings

Verdict: TypeAlias = Literal["not-asked", "checking", "good", "bad", "unreadable"]

_PIECE_BYTES = 1024 * 1024
_IDLE_NICE = 19


class Verification:
    """Compares the file with the digest of the settings; once in a daemon's life."""

    def __init__(self, model: ModelSettings, on_change: Callable[[], None] = lambda: None) -> None:
        self._model = model
        self._on_change = on_change
        self._stop = threading.Event()
        self.verdict: Verdict = "not-asked"
        self.detail = ""
        """What was found, where that is not what was wanted."""

    async def run(self) -> None:
        """Read the file to its end; cancelling leaves the verdict open."""
        if not self._model.sha256 or not self._model.path:
            return  # nothing to compare with, or nothing to read: it runs elsewhere
        self._conclude("checking")
        # A thread of its own: the nice value of a shared one would stay with whoever is next.
        thread = ThreadPoolExecutor(1, thread_name_prefix="verify")
        try:
            found = await asyncio.get_running_loop().run_in_executor(thread, self._digest)
        except OSError as error:
            self._conclude("unreadable", f"{self._model.path}: {error.strerror or error}")
            return
        finally:
            self._stop.set()
            thread.shutdown(wait=False)
        if found == self._model.sha256:
            self._conclude("good")
        else:
            detail = f"{self._model.path} has the sha256 {found} instead of {self._model.sha256}"
            self._conclude("bad", detail)

    def _digest(self) -> str:
        # Requests come first: nice counts for a thread alone, and hashing lets go of the GIL.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _IDLE_NICE)
        digest = hashlib.sha256()
        with Path(self._model.path).open("rb", buffering=0) as file:
            while not self._stop.is_set() and (piece := file.read(_PIECE_BYTES)):
                digest.update(piece)
        return digest.hexdigest()

    def _conclude(self, verdict: Verdict, detail: str = "") -> None:
        self.verdict, self.detail = verdict, detail
        self._on_change()
