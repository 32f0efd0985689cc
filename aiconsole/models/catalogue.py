"""The catalogue of models on this machine: what it holds, and how that changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from aiconsole.errors import ModelError, RefusedError
from aiconsole.models.index import Index, Models
from aiconsole.models.store import Store
from aiconsole.models.version import Model, Version

_HINT = "aiconsole models list"


class Catalogue:
    """Reads and changes the index; every change is one step under its lock."""

    def __init__(self, directory: Path | None = None) -> None:
        self.store = Store(directory)
        self._index = Index(self.store.directory)

    def make(self) -> None:
        """Make its directories where they are missing; looking at it makes none.

        Raises:
            ModelError: They cannot be made.
        """
        try:
            self.store.make()
        except OSError as error:
            raise ModelError(
                "The catalogue of models cannot be used",
                f"{error.filename}: {error.strerror or error}",
                "Look at the permissions of that directory",
            ) from error

    @property
    def notes(self) -> list[str]:
        """What the operator should know of the index: see `Index.notes`."""
        return self._index.notes

    def models(self) -> tuple[Model, ...]:
        """Every model, by name."""
        return tuple(model for _, model in sorted(self._index.read().items()))

    def model(self, name: str) -> Model:
        """The model of a name.

        Raises:
            RefusedError: There is none.
        """
        return _of(self._index.read(), name)

    def find(self, text: str) -> tuple[Model, Version]:
        """The model and version that `NAME` or `NAME@DIGEST` means.

        Raises:
            RefusedError: There is none.
        """
        name, at, digest = text.partition("@")
        model = self.model(name)
        return model, model.version(digest) if at else model.current_version

    def put(self, name: str, version: Version, ready: Path | None) -> Version:
        """Make a version the current one of a name.

        Args:
            name: Of the model; a new one is made where there is none.
            version: What was read of the file.
            ready: The file from `Store.bring`; None where it has its place already.

        Returns:
            The version as it is kept: with the time of change of the file in its place.
        """
        with self._change() as models:
            if ready is not None:
                self.store.place(ready, version.sha256)
            changed_ns = self.store.path(version).stat().st_mtime_ns
            version = replace(version, changed_ns=changed_ns)
            _note_file(models, version)
            model = models.get(name) or Model(name, version.sha256, (version,))
            models[name] = model.with_version(version)
        return version

    def make_current(self, name: str, digest: str = "") -> tuple[Version, Version]:
        """Take another version; an empty digest takes the one that came before.

        Returns the version that was current, and the one that is.

        Raises:
            RefusedError: There is none, or its file is not good.
        """
        with self._change() as models:
            model = _of(models, name)
            was = model.current_version
            version = model.version(digest) if digest else _before(model)
            refuse_unusable(model, version, self.store)
            models[name] = Model(name, version.sha256, model.versions)
        return was, version

    def note(self, version: Version) -> None:
        """Note what was found out about a version's file, in every model that has it."""
        with self._change() as models:
            _note_file(models, version)

    def drop(self, name: str, digests: Collection[str]) -> tuple[list[Path], list[Path]]:
        """Take versions out, and delete the store's files that no model needs any more.

        Returns the files that were deleted, and the operator's own, which stay.
        """
        with self._change() as models:
            model = _of(models, name)
            gone = [v for v in model.versions if v.sha256 in digests]
            left = model.without(frozenset(digests))
            if left is None:
                del models[name]
            else:
                models[name] = left
        kept = [self.store.path(v) for v in gone if v.in_place]
        # After the index: a crash in between leaves a file too many, never a model without one.
        deleted = self.delete_unneeded([self.store.path(v) for v in gone if not v.in_place])
        return deleted, kept

    def unneeded_files(self) -> list[Path]:
        """The store's files that no model names."""
        needed = {v.sha256 for m in self.models() for v in m.versions if not v.in_place}
        return [f for f in sorted(self.store.files.glob("*.gguf")) if f.stem not in needed]

    @contextmanager
    def _change(self) -> Iterator[Models]:
        self.make()
        with self._index.change() as models:
            yield models

    def delete_unneeded(self, files: Collection[Path]) -> list[Path]:
        """Delete files of `unneeded_files` that are still unneeded."""
        deleted = []
        with self._change() as models:
            needed = {v.sha256 for m in models.values() for v in m.versions if not v.in_place}
            for file in files:
                if self.store.is_ours(file) and file.stem not in needed and file.exists():
                    file.unlink(missing_ok=True)
                    deleted.append(file)
        return deleted


def refuse_unusable(model: Model, version: Version, store: Store) -> Path:
    """The path of a version's file, if it is what was added.

    Raises:
        ModelError: It is gone, has changed since, or was found to be bad.
    """
    file = store.path(version)
    add = f"aiconsole models add {version.again} --name {model.name}"
    again = f"Add it anew (`{add}`), or take another version: aiconsole models rollback "
    again += model.name
    if version.condition == "bad":
        raise ModelError(
            f"The file of {model.name} is damaged", f"version {version.short}, {file}", again
        )
    try:
        status = file.stat()
    except OSError as error:
        raise ModelError(
            f"The file of {model.name} is gone",
            f"version {version.short}, {file}: {error.strerror or error}",
            again,
        ) from error
    if (status.st_size, status.st_mtime_ns) != (version.size_bytes, version.changed_ns):
        raise ModelError(
            f"The file of {model.name} has changed since it was added",
            f"version {version.short}, {file}",
            f"See whether its bytes are the same: aiconsole models verify {model.name}",
        )
    return file


def _of(models: dict[str, Model], name: str) -> Model:
    if name in models:
        return models[name]
    close = get_close_matches(name, models, n=3)
    raise RefusedError(
        f"There is no model {name} in the catalogue",
        f"close to it: {', '.join(close)}" if close else "",
        f"See what there is: {_HINT}",
    )


def _before(model: Model) -> Version:
    """The version that was added before the current one."""
    older = [v for v in model.versions if v.added_unix_s < model.current_version.added_unix_s]
    if not older:
        raise RefusedError(
            f"{model.name} has no version before {model.current_version.short}",
            f"it has {', '.join(v.short for v in model.versions)}",
            f"Name the one to take: aiconsole models rollback {model.name} DIGEST",
        )
    return max(older, key=lambda v: v.added_unix_s)


def _note_file(models: dict[str, Model], found: Version) -> None:
    """Take over condition and time of change of a file wherever it is named."""
    for name, model in models.items():
        versions = tuple(
            replace(v, condition=found.condition, changed_ns=found.changed_ns)
            if (v.sha256, v.in_place) == (found.sha256, found.in_place)
            else v
            for v in model.versions
        )
        models[name] = Model(name, model.current, versions)
