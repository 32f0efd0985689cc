"""One version of a model in the catalogue, and the names that models may have."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aiconsole.errors import RefusedError

Condition: TypeAlias = Literal["good", "bad", "missing"]
"""`bad`: the file's bytes are not those that were added."""

SHORT_DIGITS = 8
"""Of a digest, where it is shown."""

FOUND = "found in the store"
"""The source of a file whose entry was lost."""

BUILTIN_NAME = "builtin"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Version:
    """A GGUF file that was read whole when it was added."""

    sha256: str
    size_bytes: int
    source: str
    """Where it came from: a path, a URL, or `hf:org/repo/file@revision`."""
    added_unix_s: float
    in_place: str = ""
    """Absolute path of a file that the operator keeps; empty where the catalogue holds it."""
    changed_ns: int = 0
    """The file's time of change when it was added; another one means other bytes, perhaps."""
    condition: Condition = "good"
    architecture: str = ""
    quantisation: str = ""
    """As llama.cpp calls it, `Q4_K_M`; empty where the file does not say."""
    parameters: int = 0
    context_tokens: int = 0
    """The longest context that the model was trained for; 0 where the file does not say."""

    @property
    def again(self) -> str:
        """The words of `aiconsole models add` that would bring it again."""
        return "FILE" if self.source == FOUND else shlex.quote(self.source)

    @property
    def short(self) -> str:
        """The digest as it is shown."""
        return self.sha256[:SHORT_DIGITS]


@dataclass(frozen=True, slots=True)
class Model:
    """A name of the catalogue."""

    name: str
    current: str
    """Digest of the version that a deploy takes."""
    versions: tuple[Version, ...]
    """The newest first; never empty."""

    @property
    def current_version(self) -> Version:
        """What a deploy takes; the newest where the index names none that is there."""
        return next((v for v in self.versions if v.sha256 == self.current), self.versions[0])

    def version(self, digest: str) -> Version:
        """The version whose digest begins so.

        Raises:
            RefusedError: None does, or several do.
        """
        found = [v for v in self.versions if digest and v.sha256.startswith(digest.lower())]
        if len(found) == 1:
            return found[0]
        there_are = ", ".join(v.short for v in found or self.versions)
        raise RefusedError(
            f"{self.name} has {'several versions' if found else 'no version'} {digest}",
            f"there are {there_are}",
            "Give so many digits of the digest that it is only one",
        )

    def with_version(self, version: Version) -> Model:
        """The model with this version in front and current, in place of one of its digest."""
        others = tuple(v for v in self.versions if v.sha256 != version.sha256)
        return Model(self.name, version.sha256, (version, *others))

    def without(self, digests: frozenset[str]) -> Model | None:
        """The model without some versions; None where none is left."""
        left = tuple(v for v in self.versions if v.sha256 not in digests)
        if not left:
            return None
        current = self.current if self.current not in digests else left[0].sha256
        return Model(self.name, current, left)


def check_name(name: str) -> str:
    """Return a name that a model may have.

    Raises:
        RefusedError: It may not.
    """
    if name == BUILTIN_NAME:
        raise RefusedError(
            f"{name} is the model that comes with aiconsole", "", "Choose another one with --name"
        )
    if not _NAME.fullmatch(name):
        raise RefusedError(
            "This is no name for a model",
            f"{name or 'an empty text'}: expected are letters, digits and . _ + : -, "
            "100 at most, a letter or digit first",
            "Choose another one with --name",
        )
    return name


def name_from(text: str) -> str:
    """A name made of any text: of a file's name, say."""
    plain = re.sub(r"[^A-Za-z0-9._+:-]+", "-", text).strip("._+:-")[:100]
    return plain if plain and plain != BUILTIN_NAME else "model"


def read_model(name: str, document: Any) -> Model:
    """Read a model of the index.

    Raises:
        ValueError: It is not one of ours.
    """
    if not _NAME.fullmatch(name) or not isinstance(document, dict):
        raise ValueError(f"the model {name!r}")
    versions = document.get("versions")
    if not isinstance(versions, list) or not versions:
        raise ValueError(f"the versions of {name}")
    return Model(name, str(document.get("current", "")), tuple(map(_read_version, versions)))


def _read_version(document: Any) -> Version:
    if not isinstance(document, dict):
        raise ValueError("a version that is no object")
    try:
        version = Version(**document)
    except TypeError as error:
        raise ValueError(f"a version: {error}") from error
    numbers = (
        version.size_bytes, version.added_unix_s, version.changed_ns, version.parameters,
        version.context_tokens,
    )  # fmt: skip
    texts = (version.source, version.in_place, version.architecture, version.quantisation)
    if (
        not isinstance(version.sha256, str)
        or not _SHA256.fullmatch(version.sha256)
        or not all(isinstance(text, str) for text in texts)
        or not all(type(number) in (int, float) for number in numbers)
        or version.condition not in ("good", "bad", "missing")
        or (version.in_place and not Path(version.in_place).is_absolute())
    ):
        raise ValueError(f"the version {version.sha256}")
    return version
