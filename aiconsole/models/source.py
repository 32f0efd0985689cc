"""Where a model comes from, as the operator writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from aiconsole.errors import RefusedError
from aiconsole.models.version import name_from

_HUB = "hf:"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file on this machine."""

    path: Path

    @property
    def name(self) -> str:
        """What the model is called unless a name was chosen."""
        return name_from(self.path.stem)


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A file behind an address; it holds no credentials."""

    url: str

    @property
    def name(self) -> str:
        """What the model is called unless a name was chosen."""
        return name_from(PurePosixPath(unquote(urlsplit(self.url).path)).stem)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository on the Hugging Face hub, or one file in it."""

    repository: str
    """`organisation/name`."""
    file: str = ""
    """Path within the repository; empty where it has to be chosen."""
    revision: str = ""
    """Branch, tag or commit; empty takes the main branch."""

    def __str__(self) -> str:
        file = f"/{self.file}" if self.file else ""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{_HUB}{self.repository}{file}{revision}"

    @property
    def name(self) -> str:
        """What the model is called unless a name was chosen."""
        return name_from(PurePosixPath(self.file).stem)


Source: TypeAlias = FileSource | UrlSource | HubSource


def parse_source(text: str) -> Source:
    """Read a path, an address, or `hf:organisation/repository[/file.gguf][@revision]`.

    Raises:
        RefusedError: It is none of them, or an address with credentials in it.
    """
    if text.startswith(_HUB):
        return _hub(text)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        check_url(text)
        return UrlSource(text)
    if not text:
        raise RefusedError("No model was named", "", "Give a file, an address, or hf:org/repo")
    try:
        return FileSource(Path(text).expanduser())
    except RuntimeError as error:
        raise RefusedError("There is no such home directory", text) from error


def check_url(url: str) -> None:
    """Refuse what is no address of a file.

    Raises:
        RefusedError: Another scheme, no host, credentials in it, or characters that do not belong.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise RefusedError("This is not an address", str(error)) from error
    if "@" in parts.netloc:
        # Not shown: it would end up in a log or a history.
        raise RefusedError(
            "An address with credentials in it is not used",
            f"the part before @{host or ''} would be kept in the catalogue and be seen in logs",
            "Use an address without it (a signed link, say), or fetch the file yourself",
        )
    if parts.scheme.lower() not in ("http", "https"):
        raise RefusedError(
            f"{parts.scheme} is not spoken here", url, "Expected is https or http, or hf:org/repo"
        )
    if not host or not url.isprintable() or " " in url:
        raise RefusedError("This is not an address", url)


def shown_url(url: str) -> str:
    """An address as it is shown and kept: a query may hold a signature that opens the file."""
    parts = urlsplit(url)
    query = "?…" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{parts.path}{query}"


def _hub(text: str) -> HubSource:
    place, _, revision = text.removeprefix(_HUB).partition("@")
    parts = place.strip("/").split("/")
    wrong = len(parts) < 2 or not all(_PART.fullmatch(part) for part in parts[:2])
    if wrong or not all(part.isprintable() and part not in ("", ".", "..") for part in parts[2:]):
        raise RefusedError(
            "This is no place on the Hugging Face hub",
            text,
            "Expected is hf:organisation/repository[/file.gguf][@revision]",
        )
    return HubSource("/".join(parts[:2]), "/".join(parts[2:]), revision)
