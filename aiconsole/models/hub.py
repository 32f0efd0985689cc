"""Finds a GGUF file on the Hugging Face hub, with the client library of the hub itself.

The library finds out what there is, with which token, and what its digest is; the bytes come
by `download`, which resumes, checks and tells progress in one way for all sources.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from huggingface_hub import HfApi, RepoFile, get_token, hf_hub_url
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling

from aiconsole.errors import ModelError, NotConfirmedError
from aiconsole.models.source import HubSource
from aiconsole.models.wanted import Wanted
from aiconsole.question import Ask, Question
from aiconsole.secret import Secret
from aiconsole.units import bytes_text
from aiconsole.visible import visible

__all__ = ["HubFile", "HubListing", "choose_file", "list_files"]

_TIMEOUT_S = 30.0
_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
_SIDE_FILES = ("mmproj", "imatrix")
"""GGUF files that are no model by themselves: the eyes of one, and what it was quantised with."""
_TransportError: type[Exception] = HfHubHTTPError.__bases__[0]
"""The error of the HTTP library that huggingface_hub uses: which one depends on its version."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A GGUF file of a repository."""

    path: str
    """Within the repository."""
    size_bytes: int
    sha256: str
    """Empty where the hub does not say."""
    parts: int = 1
    """Files that the model is split into; only a whole one can be served."""


@dataclass(frozen=True, slots=True)
class HubListing:
    """What a repository holds at one commit."""

    source: HubSource
    """With the commit as its revision, so that nothing changes under way."""
    files: tuple[HubFile, ...]
    endpoint: str
    token: Secret | None
    """What this machine logs in with; None where it does not."""

    def wanted(self, file: HubFile) -> Wanted:
        """What to download for a file."""
        url = hf_hub_url(
            self.source.repository,
            file.path,
            revision=self.source.revision,
            endpoint=self.endpoint,
        )
        return Wanted(url, file.size_bytes, file.sha256, self.token)


async def list_files(source: HubSource) -> HubListing:
    """Ask the hub for the GGUF files of a repository.

    Raises:
        ModelError: No such repository or revision, no right to it, or the hub is out of reach.
    """
    return await asyncio.to_thread(_list, source)


async def choose_file(listing: HubListing, ask: Ask) -> HubFile:
    """Take the file that was named, the only one there is, or the one that the operator chooses.

    Raises:
        ModelError: There is none, not the named one, or it is split into parts.
        NotConfirmedError: There are several, and nobody chose.
    """
    source, files = listing.source, listing.files
    if source.file:
        file = next((file for file in files if file.path == source.file), None)
        if file is None:
            raise _no_file(source, files)
        return _refuse_split(file)
    models = [f for f in files if not PurePosixPath(f.path).name.startswith(_SIDE_FILES)] or files
    whole = [file for file in models if file.parts == 1]
    if len(models) == 1:
        return _refuse_split(models[0])
    if not whole:
        raise _no_file(source, files)
    return await _ask_for(source, models, whole, ask)


async def _ask_for(
    source: HubSource, models: Sequence[HubFile], whole: Sequence[HubFile], ask: Ask
) -> HubFile:
    lines = {f"{visible(file.path)}  {bytes_text(file.size_bytes)}": file for file in whole}
    left_out = len(models) - len(whole)
    detail = f"{left_out} more are split into parts, which cannot be served" if left_out else ""
    question = Question(
        "choice", f"Which file of {source.repository}?", detail, choices=tuple(lines)
    )
    chosen = await ask(question)
    if isinstance(chosen, str) and chosen in lines:
        return lines[chosen]
    raise NotConfirmedError(
        f"{source.repository} has {len(whole)} GGUF files, and none was chosen",
        "\n".join(lines),
        f"Name one: hf:{source.repository}/{whole[0].path}",
    )


def _list(source: HubSource) -> HubListing:
    # Read here, not when the library is imported: an operator may set it for one command.
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    try:
        token = get_token()
        api = HfApi(endpoint=endpoint, token=token or False, library_name="aiconsole")
        info = api.model_info(
            source.repository,
            revision=source.revision or None,
            files_metadata=True,
            timeout=_TIMEOUT_S,
        )
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, _TransportError) as error:
        raise _translated(source, error, bool(get_token())) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # What the library makes of an answer that is not the hub's: a proxy's page, say.
        raise ModelError(
            "The answer of the Hugging Face hub cannot be read",
            f"{type(error).__name__}: {visible(str(error)[:200])}",
            "Check HF_ENDPOINT, and whether a proxy stands in between",
        ) from error
    pinned = HubSource(source.repository, source.file, info.sha or source.revision)
    files = _files(info.siblings or ())
    return HubListing(pinned, files, api.endpoint, Secret(token) if token else None)


def _files(siblings: Sequence[RepoSibling | RepoFile]) -> tuple[HubFile, ...]:
    """The GGUF files, the parts of one that is split taken together."""
    found: dict[str, HubFile] = {}
    for sibling in siblings:
        path = str(getattr(sibling, "rfilename", ""))
        if not path.lower().endswith(".gguf"):
            continue
        size_bytes = int((sibling.lfs.size if sibling.lfs else sibling.size) or 0)
        sha256 = str(sibling.lfs.sha256) if sibling.lfs else ""
        split = _SPLIT.fullmatch(path)
        if split is None:
            found[path] = HubFile(path, size_bytes, sha256)
            continue
        before = found.get(split[1], HubFile(path, 0, "", int(split[3])))
        found[split[1]] = HubFile(before.path, before.size_bytes + size_bytes, "", before.parts)
    return tuple(sorted(found.values(), key=lambda file: file.path))


def _refuse_split(file: HubFile) -> HubFile:
    if file.parts > 1 or _SPLIT.fullmatch(file.path):
        raise ModelError(
            "This model is split into parts",
            f"{visible(file.path)} is the first of {file.parts}, "
            f"{bytes_text(file.size_bytes)} together",
            "inferd serves one file: fetch the parts, join them with llama-gguf-split --merge, "
            "and add the whole",
        )
    return file


def _no_file(source: HubSource, files: Sequence[HubFile]) -> ModelError:
    there_are = ", ".join(visible(file.path) for file in files[:20])
    what = source.file or "whole GGUF file"
    return ModelError(
        f"{source.repository} has no {visible(what)}",
        f"there are {there_are}" if files else "it holds no GGUF file at all",
        "Look for a repository with GGUF in its name",
    )


def _translated(source: HubSource, error: Exception, has_token: bool) -> ModelError:
    """The error in our words; the library's own text may hold the server's."""
    who = "with this machine's token" if has_token else "without a token"
    login = "" if has_token else "; for a private one set HF_TOKEN, or run `hf auth login`"
    said = visible((str(error).strip().splitlines() or [type(error).__name__])[0][:200])
    match error:
        case GatedRepoError():
            title = f"{source.repository} is given out only after its terms were accepted"
            hint = f"Accept them on the hub's page of it{login}"
        case DisabledRepoError():
            title, hint = f"The hub has disabled {source.repository}", "Take another one"
        case RepositoryNotFoundError():
            title = f"The hub shows no repository {source.repository}"
            hint = f"Check the name{login}"
        case RevisionNotFoundError():
            title = f"{source.repository} has no revision {visible(source.revision)}"
            hint = "Leave @revision out for the newest"
        case HFValidationError():
            title, hint = f"{source.repository} is no name of a repository", "Check the name"
        case OfflineModeIsEnabled():
            title, hint = "HF_HUB_OFFLINE forbids asking the hub", "Unset it"
        case HfHubHTTPError() if error.response.status_code in (401, 403):
            title = f"The hub does not let this machine at {source.repository}"
            hint = f"Check the rights of the token{login}"
        case _:
            title = "The Hugging Face hub cannot be asked"
            hint = "Check the network, or set HF_ENDPOINT to a mirror; try again later"
    return ModelError(title, f"{said} (asked {who})", hint)
