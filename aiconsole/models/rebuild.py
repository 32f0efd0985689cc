"""Makes models of the files in the store that no index names any more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from aiconsole.bundle.gguf import NotGgufError, TruncatedError, read_header
from aiconsole.models.describe import quantisation_of
from aiconsole.models.version import FOUND, Model, Version, name_from

_STORED = re.compile(r"([0-9a-f]{64})\.gguf")


def models_of_files(directory: Path, known: Mapping[str, Model]) -> dict[str, Model]:
    """One model for each stored file that `known` does not have; the file's title names it.

    Their bytes are not read: `verify` does that. What is no whole GGUF file is left out.
    """
    digests = {version.sha256 for model in known.values() for version in model.versions}
    names, found = set(known), {}
    for file in sorted((directory / "files").glob("*.gguf")):
        match = _STORED.fullmatch(file.name)
        if match is None or match[1] in digests:
            continue
        try:
            title, version = _version_of(file, match[1])
        except (OSError, NotGgufError, TruncatedError):
            continue
        name = _free_name(name_from(title), names)
        names.add(name)
        found[name] = Model(name, version.sha256, (version,))
    return found


def _version_of(file: Path, sha256: str) -> tuple[str, Version]:
    header, status = read_header(file), file.stat()
    return str(header.values.get("general.name", "")), Version(
        sha256=sha256,
        size_bytes=status.st_size,
        source=FOUND,
        added_unix_s=status.st_mtime,
        changed_ns=status.st_mtime_ns,
        architecture=str(header.values.get("general.architecture", "")),
        quantisation=quantisation_of(header),
        parameters=header.parameters,
        context_tokens=header.number("context_length"),
    )


def _free_name(wanted: str, taken: set[str]) -> str:
    if wanted not in taken:
        return wanted
    return next(name for n in range(2, 10_000) if (name := f"{wanted[:90]}-{n}") not in taken)
