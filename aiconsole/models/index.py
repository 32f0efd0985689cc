"""The catalogue's index: one JSON file, changed under a lock, replaced in one step.

The copy before the last change stays beside it. An index that cannot be read is set aside, and
made anew of that copy and of the files that lie in the store.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

from aiconsole import paths
from aiconsole.errors import BusyError, ModelError
from aiconsole.models.rebuild import models_of_files
from aiconsole.models.version import Model, read_model

Models: TypeAlias = dict[str, Model]

_FORMAT = 1
_LOCK_WAIT_S = 30.0
_LOCK_POLL_S = 0.05


class Index:
    """Models by name, in the directory of the catalogue."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "catalogue.json"
        self._before = directory / "catalogue.before.json"
        self.notes: list[str] = []
        """What the operator should know: an index that was damaged, and what became of it."""

    def read(self) -> Models:
        """Read it; a damaged one is made anew.

        Raises:
            ModelError: It cannot be read, or comes from a newer console.
        """
        try:
            return self._load(self.file)
        except FileNotFoundError:
            return {}
        except ValueError:
            with self.change() as models:
                return dict(models)
        except OSError as error:
            raise _unusable(self.file, error) from error

    @contextmanager
    def change(self) -> Iterator[Models]:
        """Give the models to be changed, alone; what they are at the end is written.

        Raises:
            BusyError: Another console holds the lock for too long.
            ModelError: It cannot be read or written; nothing was changed.
        """
        try:
            with self._locked():
                models = self._load_or_rebuild()
                was = dict(models)
                yield models
                if models != was or not self.file.exists():
                    self._write(models)
        except OSError as error:
            raise _unusable(self.file, error) from error

    def _load(self, file: Path) -> Models:
        try:
            document = json.loads(file.read_bytes())
        except RecursionError as error:
            raise ValueError("it is nested without an end") from error
        if not isinstance(document, dict) or not isinstance(document.get("models"), dict):
            raise ValueError("it holds no models")
        made_as = document.get("format")
        if type(made_as) is not int or made_as < _FORMAT:
            raise ValueError("it does not say its format")
        if made_as > _FORMAT:
            raise ModelError(
                "The catalogue of models is from another version of aiconsole",
                f"{file} has the format {made_as}, expected {_FORMAT}",
                "Use the newer console",
            )
        return {name: read_model(name, entry) for name, entry in document["models"].items()}

    def _load_or_rebuild(self) -> Models:
        try:
            return self._load(self.file)
        except FileNotFoundError:
            return {}
        except ValueError as error:
            return self._rebuild(error)

    def _rebuild(self, reason: ValueError) -> Models:
        aside = self.file.with_name(f"catalogue.damaged-{time.time_ns() // 1_000_000}.json")
        self.file.rename(aside)
        try:
            models = self._load(self._before)
        except (OSError, ValueError):
            models = {}
        found = models_of_files(self.directory, known=models)
        self._write({**models, **found})
        self.notes.append(
            f"the catalogue's index was damaged ({str(reason)[:100]}); it is kept as {aside}, "
            f"and was made anew: {len(models)} models of its last copy, {len(found)} of the files"
        )
        return {**models, **found}

    def _write(self, models: Models) -> None:
        document = {
            "format": _FORMAT,
            "models": {
                name: {"current": m.current, "versions": [asdict(v) for v in m.versions]}
                for name, m in sorted(models.items())
            },
        }
        if self.file.exists():
            paths.write_atomic(self._before, self.file.read_bytes())
        paths.write_atomic(self.file, json.dumps(document, indent=1).encode())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        handle = os.open(self.directory / "catalogue.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _acquire(handle)
            yield
        finally:
            os.close(handle)


def _acquire(handle: int) -> None:
    deadline_s = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise BusyError(
                    "The catalogue of models is in use",
                    f"another aiconsole has held its lock for {_LOCK_WAIT_S:g} s",
                    "Wait for it to end, and try again",
                ) from None
            time.sleep(_LOCK_POLL_S)
        else:
            return


def _unusable(file: Path, error: OSError) -> ModelError:
    return ModelError(
        "The catalogue of models cannot be used",
        f"{error.filename or file}: {error.strerror or error}",
        "Look at the permissions and the free space of that directory",
    )
