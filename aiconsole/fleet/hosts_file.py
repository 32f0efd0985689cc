"""Reads hosts.toml: every error names the file, the line, and what was expected there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tomlkit
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from tomlkit.exceptions import ParseError, TOMLKitError

from aiconsole.errors import SettingsError
from aiconsole.fleet.host import Host, RuntimeChoice, check_name

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, config=_STRICT)
class HostEntry:
    """A table `[hosts.NAME]` as a person writes it."""

    address: str = ""
    user: str = ""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    identity_files: list[str] = Field(default_factory=list)
    proxy_jump: str = ""
    groups: list[str] = Field(default_factory=list)
    tags: dict[str, str] = Field(default_factory=dict)
    protected: bool = False
    runtime: RuntimeChoice = "auto"

    def host(self, name: str) -> Host:
        """Return the entry as a host."""
        return Host(
            name=name,
            address=self.address,
            user=self.user,
            port=self.port,
            identity_files=tuple(self.identity_files),
            proxy_jump=self.proxy_jump,
            groups=tuple(self.groups),
            tags=self.tags,
            protected=self.protected,
            runtime=self.runtime,
        )


@dataclass(frozen=True, config=_STRICT)
class _HostsFile:
    hosts: dict[str, HostEntry] = Field(default_factory=dict)


_ADAPTER = TypeAdapter(_HostsFile)


def read_hosts(file: Path) -> Mapping[str, HostEntry]:
    """Read and check the file; a missing one has no hosts.

    Raises:
        SettingsError: It is wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read", str(error)) from error
    try:
        content = tomlkit.parse(text).unwrap()
        # Through JSON: strict validation of Python values wants instances, not tables.
        hosts = _ADAPTER.validate_json(json.dumps(content, default=str)).hosts
    except ParseError as error:
        raise _wrong(file, error.line, str(error)) from error
    except TOMLKitError as error:
        raise _wrong(file, 0, str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _wrong(file, _line_of(text, first["loc"]), _expected(first)) from error
    for name in hosts:
        try:
            check_name(name)
        except SettingsError as error:
            raise _wrong(
                file, _line_of(text, ("hosts", name)), f"{error.title}: {error.detail}"
            ) from error
    return hosts


def _wrong(file: Path, line: int, expected: str) -> SettingsError:
    where = f"{file} line {line}" if line else str(file)
    return SettingsError(
        "hosts.toml is wrong",
        f"{where}: {expected}",
        "Correct that line; nothing was changed.",
    )


def _expected(problem: Any) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    message = str(problem["msg"]).replace("an object", "a table")
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = ", ".join(HostEntry.__annotations__) if len(problem["loc"]) > 2 else "hosts"
        return f"{name} is not known here; expected one of: {known}"
    return f"{name}: {message[:1].lower()}{message[1:]}, but it is {_as_toml(problem['input'])}"


def _as_toml(value: object) -> str:
    """The value much as it stands in the file."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _line_of(text: str, location: Sequence[int | str]) -> int:
    """Find the line of a key, or of its table's head; 0 where it cannot be told."""
    keys = [str(part) for part in location if isinstance(part, str)]
    lines = text.splitlines()
    start = 0
    if len(keys) >= 2:
        head = re.compile(rf"\s*\[\s*{_key(keys[0])}\s*\.\s*{_key(keys[1])}\b")
        start = next((n for n, line in enumerate(lines, 1) if head.match(line)), 0)
    if len(keys) == 2:
        return start
    if not keys:
        return 0
    wanted = re.compile(rf"\s*\[?\s*{_key(keys[2] if len(keys) > 2 else keys[0])}\s*[]=.]")
    for number, line in enumerate(lines[start:], start + 1):
        if wanted.match(line):
            return number
        if start and line.lstrip().startswith("["):
            break
    return start


def _key(name: str) -> str:
    return rf"""["']?{re.escape(name)}["']?"""
