"""One entry of the keys file: checked field by field, since a limit that is not read opens a door.

An entry with a field that is not known here, or of another type than it should be, is refused as a
whole: a newer console may have meant it as a limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiconsole.onhost.inferd.access.address import Networks
from aiconsole.onhost.inferd.access.grant import Grant
from aiconsole.onhost.wire.endpoints import ENDPOINTS, MAX_LABEL_CHARS

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_ITEMS = 1000
_MAX_NUMBER = 2**53


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One key that may ask."""

    id: str
    label: str
    """Name in logs; the key itself is nowhere."""
    sha256: str
    """Hex digest of the whole key text in UTF-8."""
    grant: Grant
    allow: Networks | None = None
    """Addresses that it may be used from; None is every one."""
    expires_unix_s: float | None = None
    not_before_unix_s: float = 0.0
    disabled: bool = False


class EntryError(Exception):
    """An entry that cannot be used; the text says why, and never holds the digest."""


def read_entry(item: Any) -> ClientKey:
    """Check one entry.

    Raises:
        EntryError: It is refused.
    """
    if not isinstance(item, dict):
        raise EntryError("an entry is no object")
    for name in ("id", "label", "sha256"):
        if name not in item:
            raise EntryError(f"`{name}` is missing")
    found = {}
    for name, value in item.items():
        read = _FIELDS.get(name)
        if read is None:
            raise EntryError(f"the field {name[:40]!r} is not known here")
        try:
            found[name] = read(value)
        except (TypeError, ValueError) as error:
            raise EntryError(f"`{name}` {error}") from error
    return _key(found)


def _key(found: dict[str, Any]) -> ClientKey:
    grant = Grant(
        name=found["label"],
        tenant=found["id"],
        models=found.get("models"),
        endpoints=found.get("endpoints"),
        requests_per_minute=found.get("requests_per_minute"),
        tokens_per_minute=found.get("tokens_per_minute"),
        tokens_per_day=found.get("tokens_per_day", 0),
    )
    return ClientKey(
        id=found["id"],
        label=found["label"],
        sha256=found["sha256"],
        grant=grant,
        allow=found.get("allow"),
        expires_unix_s=found.get("expires_unix_s"),
        not_before_unix_s=found.get("not_before_unix_s", 0.0),
        disabled=found.get("disabled", False),
    )


def _id(value: Any) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("must be letters, digits, `_`, `.` or `-`, at most 64")
    return value


def _label(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_LABEL_CHARS or not value.isprintable():
        raise ValueError(f"must be a text of at most {MAX_LABEL_CHARS} characters")
    return value


def _sha256(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("must be 64 small hex digits")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _MAX_NUMBER:
        raise ValueError("must be a number, 0 or more")
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise ValueError("must be a whole number, 0 or more")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("must be true or false")
    return value


def _texts(value: Any) -> list[str]:
    """An empty list is refused: it could be meant as everything or as nothing."""
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise ValueError("must be a list of texts")
    if not value or len(value) > _MAX_ITEMS:
        raise ValueError(f"must name 1 to {_MAX_ITEMS}; leave it out for no limit")
    return value


def _models(value: Any) -> frozenset[str]:
    return frozenset(_texts(value))


def _endpoints(value: Any) -> frozenset[str]:
    found = frozenset(_texts(value))
    if unknown := sorted(found.difference(ENDPOINTS)):
        raise ValueError(f"names {unknown[0][:40]!r}, which is not one of {', '.join(ENDPOINTS)}")
    return found


def _networks(value: Any) -> Networks:
    texts = _texts(value)
    try:
        return Networks(texts)
    except ValueError:
        raise ValueError("must hold addresses or networks such as 10.0.0.0/8") from None


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "id": _id,
    "label": _label,
    "sha256": _sha256,
    "created_unix_s": _number,
    "expires_unix_s": _number,
    "not_before_unix_s": _number,
    "models": _models,
    "endpoints": _endpoints,
    "allow": _networks,
    "requests_per_minute": _number,
    "tokens_per_minute": _count,
    "tokens_per_day": _count,
    "disabled": _flag,
}
