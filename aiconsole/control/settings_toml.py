"""settings.toml of a release: the operator's file and what the console decides, comments kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit
import tomllib
from tomlkit.exceptions import TOMLKitError

from aiconsole.control.own_tables import FOREIGN

_HEAD = "# Written by aiconsole for this release; a change belongs into a new one.\n"

Decided = Mapping[str, Mapping[str, Any]]


def merge(text: str, decided: Decided) -> str:
    """Put `{table: {key: value}}` into a TOML text, and take the console's own tables out."""
    wanted = _merged(text, decided)
    try:
        told = _HEAD + _edited(text, decided)
        if tomllib.loads(told) == wanted:
            return told
    except (TOMLKitError, tomllib.TOMLDecodeError, ValueError, KeyError, TypeError):
        pass
    # A layout that cannot be edited in place, as one of dotted keys: the comments go, not a value.
    return _HEAD + tomlkit.dumps(wanted)


def _merged(text: str, decided: Decided) -> dict[str, Any]:
    tree = tomllib.loads(text)
    for table in FOREIGN:
        tree.pop(table, None)
    for table, values in decided.items():
        tree.setdefault(table, {}).update(values)
    return tree


def _edited(text: str, decided: Decided) -> str:
    document: Any = tomlkit.parse(text)
    for table in FOREIGN:
        document.pop(table, None)
    for table, values in decided.items():
        if table not in document:
            document[table] = tomlkit.table()
        for key, value in values.items():
            document[table][key] = value
    return tomlkit.dumps(document)
