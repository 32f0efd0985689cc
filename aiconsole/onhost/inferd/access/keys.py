"""Client keys: a file of hashes, read again as soon as it changes."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from aiconsole.onhost.inferd.errors import unauthorized

_MAX_KEY_CHARS = 512


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One key that may ask."""

    id: str
    label: str
    """Name in logs; the key itself is nowhere."""
    sha256: str
    """Hex digest of the whole key text in UTF-8."""


class KeyFile:
    """The keys of one file: `{"keys": [{"id", "label", "sha256", "created_unix_s"}]}`.

    A missing or damaged file lets nobody in: a key that was revoked must never work again
    because the file that revokes it could not be read.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, ClientKey] = {}
        self.fault = ""
        """Why no key can be accepted now; empty when the file is good."""
        self.refresh()

    @property
    def count(self) -> int:
        """Keys that are accepted."""
        return len(self._keys)

    def check(self, authorization: str) -> ClientKey:
        """Find the key of an `Authorization` header.

        Raises:
            ApiError: 401, with what is wrong and never with the key.
        """
        self.refresh()
        if self.fault:
            raise unauthorized(f"No key can be accepted: {self.fault}.", code="keys_unavailable")
        scheme, _, text = authorization.partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise unauthorized(
                "A key is needed, in the header `Authorization: Bearer ak-...`.",
                code="missing_api_key",
            )
        if len(text) <= _MAX_KEY_CHARS:
            digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
            key = self._keys.get(digest)
            if key is not None and hmac.compare_digest(key.sha256, digest):
                return key
        raise unauthorized("This key is not known here.")

    def refresh(self) -> None:
        """Read the file again if it is another one or has changed."""
        if self._path is None:
            self.fault = "no keys file is configured"
            return
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - once a request: 1 µs instead of 3
        except OSError as error:
            self._refuse_all(f"the keys file cannot be read ({error.strerror})")
            return
        mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if mark == self._seen:
            return
        try:
            found = [_key(item) for item in orjson.loads(self._path.read_bytes())["keys"]]
        except OSError as error:
            self._refuse_all(f"the keys file cannot be read ({error.strerror})")
        except (ValueError, KeyError, TypeError):
            self._refuse_all("the keys file is damaged")
            self._seen = mark
        else:
            self._keys = {key.sha256: key for key in found}
            self._seen, self.fault = mark, ""

    def _refuse_all(self, fault: str) -> None:
        self._keys, self._seen, self.fault = {}, None, fault


def _key(item: Any) -> ClientKey:
    key = ClientKey(item["id"], item["label"], item["sha256"])
    digest = key.sha256
    if not all(isinstance(part, str) for part in (key.id, key.label, digest)):
        raise TypeError("not a text")
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError("not a sha256")
    return key
