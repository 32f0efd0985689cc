"""Brings a model into the catalogue: a file, an address, or a repository of the hub."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from aiconsole.bundle.digest import file_sha256, remember_sha256
from aiconsole.bundle.gguf import Header
from aiconsole.bundle.model import look_at_model
from aiconsole.errors import ModelError, RefusedError
from aiconsole.models.catalogue import Catalogue
from aiconsole.models.describe import quantisation_of
from aiconsole.models.part import Part
from aiconsole.models.source import FileSource, HubSource, Source, UrlSource, shown_url
from aiconsole.models.store import Placed, Progress, disk_error
from aiconsole.models.version import Version, check_name
from aiconsole.models.wanted import Patience, Wanted
from aiconsole.question import Ask, ask_nobody

Outcome: TypeAlias = Literal["added", "current again", "unchanged"]


@dataclass(frozen=True, slots=True)
class Choices:
    """What an operator says with `models add`."""

    name: str = ""
    """Empty takes the file's."""
    sha256: str = ""
    """What the file's digest has to be; empty takes any."""
    in_place: bool = False
    """Leave the file where it is, and only note it."""


@dataclass(frozen=True, slots=True)
class Added:
    """A model that is in the catalogue now."""

    name: str
    version: Version
    outcome: Outcome
    placed: Placed
    path: Path
    notes: tuple[str, ...] = ()
    """What the operator should know of where it came from."""
    was: Version | None = None
    """The version that was the current one before; None for a new name."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A whole file on this machine."""

    path: Path
    name: str
    source: str
    sha256: str
    """What its digest has to be; empty takes any."""
    part: Part | None = None
    """Where it was downloaded to."""
    notes: tuple[str, ...] = ()


async def add_model(
    catalogue: Catalogue,
    source: Source,
    choices: Choices,
    progress: Progress,
    *,
    ask: Ask = ask_nobody,
    patience: Patience | None = None,
) -> Added:
    """Fetch what is elsewhere, read and digest it, and make it the name's current version.

    Raises:
        ModelError: It cannot be had, or is no model that inferd serves.
        RefusedError: A name, a digest or an address that is not taken, or nobody chose a file.
    """
    _refuse_bad_choices(source, choices)
    catalogue.make()
    if isinstance(source, FileSource):
        path = source.path.absolute()
        fetched = _Fetched(path, source.name, str(path), choices.sha256)
        return await _take(catalogue, fetched, choices, progress)
    wanted, fetched = await _elsewhere(catalogue, source, choices, ask)
    if fetched.sha256 and await _is_held(catalogue, fetched.sha256, progress):
        held = replace(fetched, path=catalogue.store.held(fetched.sha256), part=None)
        return await _take(catalogue, held, choices, progress)
    # Late: httpx loads what draws, where that is installed.
    from aiconsole.models.download import download

    assert fetched.part is not None, "what is elsewhere is downloaded"
    with fetched.part.alone():
        await download(wanted, fetched.part, progress, patience)
        return await _take(catalogue, fetched, choices, progress)


def _refuse_bad_choices(source: Source, choices: Choices) -> None:
    if choices.name:
        check_name(choices.name)
    if choices.sha256 and (
        len(choices.sha256) != 64 or set(choices.sha256) - set("0123456789abcdef")
    ):
        raise RefusedError(
            "This is not a sha256", choices.sha256, "Expected are 64 digits from 0 to f"
        )
    if choices.in_place and not isinstance(source, FileSource):
        raise RefusedError("--in-place is for a file on this machine")


async def _elsewhere(
    catalogue: Catalogue, source: UrlSource | HubSource, choices: Choices, ask: Ask
) -> tuple[Wanted, _Fetched]:
    """Find out what to download, and where to."""
    if isinstance(source, UrlSource):
        wanted = Wanted(source.url, sha256=choices.sha256)
        part = Part(catalogue.store.incoming, source.url)
        notes = () if choices.sha256 or source.url.lower().startswith("https:") else (
            "fetched without encryption or --sha256: nobody vouches for it",
        )  # fmt: skip
        fetched = _Fetched(
            part.path, source.name, shown_url(source.url), choices.sha256, part, notes
        )
        return wanted, fetched
    # Late: the hub's library takes a third of a second to load.
    from aiconsole.models.hub import choose_file, list_files

    listing = await list_files(source)
    file = await choose_file(listing, ask)
    if choices.sha256 and file.sha256 and choices.sha256 != file.sha256:
        raise ModelError(
            "The hub has another file than the one you want",
            f"{file.path} has the sha256 {file.sha256}, expected {choices.sha256}",
        )
    wanted = listing.wanted(file)
    if choices.sha256:
        wanted = replace(wanted, sha256=choices.sha256)
    pinned = HubSource(source.repository, file.path, listing.source.revision)
    part = Part(catalogue.store.incoming, wanted.url)
    note = f"asked the hub {'with the token of this machine' if listing.token else 'anonymously'}"
    return wanted, _Fetched(part.path, pinned.name, str(pinned), wanted.sha256, part, (note,))


async def _take(
    catalogue: Catalogue, fetched: _Fetched, choices: Choices, progress: Progress
) -> Added:
    """Read a whole file, and give it its place and name."""
    path, header, size_bytes = await _looked_at(fetched)
    sha256 = await _digested(path, fetched, progress)
    name = choices.name or fetched.name
    version = _version(header, size_bytes, sha256, fetched, str(path) if choices.in_place else "")
    known = next((m for m in catalogue.models() if m.name == name), None)
    outcome: Outcome = "added"
    if known and any(v.sha256 == sha256 and v.condition == "good" for v in known.versions):
        outcome = "unchanged" if known.current == sha256 else "current again"
    version, placed = await _placed(catalogue, name, version, path, fetched.part, progress)
    # So that the first deploy need not read it all again.
    with suppress(OSError):
        await remember_sha256(catalogue.store.path(version), sha256)
    return Added(
        name, version, outcome, placed, catalogue.store.path(version), fetched.notes,
        known.current_version if known else None,
    )  # fmt: skip


async def _placed(
    catalogue: Catalogue,
    name: str,
    version: Version,
    path: Path,
    part: Part | None,
    progress: Progress,
) -> tuple[Version, Placed]:
    """Give the file its place, and the version its name."""
    if version.in_place:
        return catalogue.put(name, version, None), "in-place"
    if await _is_held(catalogue, version.sha256, progress):
        version = catalogue.put(name, version, None)
        if part:
            part.drop()
        return version, "held"
    ready, placed = await catalogue.store.bring(
        path, version.sha256, progress, move=part is not None
    )
    version = catalogue.put(name, version, ready)
    if part:
        part.forget_note()
    return version, placed


async def _looked_at(fetched: _Fetched) -> tuple[Path, Header, int]:
    try:
        return await look_at_model(fetched.path)
    except ModelError as error:
        if fetched.part is None:
            raise
        # What came whole and is no model becomes none by coming again.
        fetched.part.drop()
        raise ModelError(
            error.title.replace(fetched.path.name, fetched.name),
            f"{fetched.source}: {error.detail.rpartition(': ')[2]}",
            error.hint,
        ) from error


async def _digested(path: Path, fetched: _Fetched, progress: Progress) -> str:
    try:
        sha256 = await file_sha256(path, lambda done, total: progress("Digest", done, total))
    except OSError as error:
        raise disk_error(error, path) from error
    if fetched.sha256 and sha256 != fetched.sha256:
        if fetched.part:
            fetched.part.drop()
        raise ModelError(
            "This is not the file that it should be",
            f"{fetched.source} has the sha256 {sha256}, expected {fetched.sha256}",
            "What came was thrown away; get it from another place" if fetched.part else "",
        )
    return sha256


async def _is_held(catalogue: Catalogue, sha256: str, progress: Progress) -> bool:
    """True where the store has the very file; what was damaged there is replaced."""
    try:
        return sha256 == await file_sha256(
            catalogue.store.held(sha256),
            lambda done, total: progress("Compare", done, total),
            anew=True,
        )
    except OSError:
        return False


def _version(
    header: Header, size_bytes: int, sha256: str, fetched: _Fetched, in_place: str
) -> Version:
    return Version(
        sha256=sha256,
        size_bytes=size_bytes,
        source=fetched.source,
        added_unix_s=time.time(),
        in_place=in_place,
        architecture=str(header.values.get("general.architecture", "")),
        quantisation=quantisation_of(header),
        parameters=header.parameters,
        context_tokens=header.number("context_length"),
    )
