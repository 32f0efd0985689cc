"""Client keys: a file of hashes, read again as soon as it changes."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import time
from pathlib import Path
from typing import Any

import orjson

from aiconsole.onhost.inferd.access.entry import ClientKey, EntryError, read_entry
from aiconsole.onhost.inferd.access.grant import Grant, forbidden
from aiconsole.onhost.inferd.errors import unauthorized

log = logging.getLogger("inferd.keys")

_MAX_KEY_CHARS = 512
_MAX_FILE_BYTES = 16 * 1024 * 1024
_TOLD = 5
_YOUNG_NS = 50_000_000
"""A file that was changed this shortly ago may change again within the same tick of its clock."""


class KeyFile:
    """The keys of one file: `{"keys": [{"id", "label", "sha256", "created_unix_s", ...}]}`.

    A missing or damaged file lets nobody in: a key that was revoked must never work again
    because the file that revokes it could not be read. An entry that is not understood is refused
    alone.
    """

    def __init__(self, path: Path | None, *, needed: bool = True) -> None:
        self._path = path
        # Where the service asks for no key, a file that is not there is nobody's trouble.
        self._loudness = logging.WARNING if needed else logging.DEBUG
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, ClientKey] = {}
        self._told = ""
        self.fault = ""
        """Why no key can be accepted now; empty when the file is good."""
        self.refused = 0
        """Entries that are in the file and not accepted."""
        self.refresh()

    @property
    def count(self) -> int:
        """Keys that are known, whether or not they are in force now."""
        return len(self._keys)

    @property
    def configured(self) -> bool:
        """Whether there is a file to look at."""
        return self._path is not None

    def check(self, text: str, client: str = "") -> Grant:
        """What a key is good for.

        A key is found by its digest, in a table of digests: what a comparison takes says
        something about the digest at most, from which no key can be guessed.

        Args:
            text: The whole key.
            client: Address of who shows it.

        Raises:
            ApiError: 401 or 403, with what is wrong and never with the key.
        """
        self.refresh()
        if self.fault:
            raise unauthorized(f"No key can be accepted: {self.fault}.", code="keys_unavailable")
        if len(text) <= _MAX_KEY_CHARS:
            digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
            key = self._keys.get(digest)
            if key is not None and hmac.compare_digest(key.sha256, digest):
                _check_in_force(key, client)
                return key.grant
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
            items = _items(self._path, stat.st_size)
        except OSError as error:
            self._refuse_all(f"the keys file cannot be read ({error.strerror})")
            return
        except ValueError:
            self._refuse_all("the keys file is damaged")
        else:
            self._take(items)
        settled = time.time_ns() - stat.st_mtime_ns > _YOUNG_NS
        self._seen = mark if settled else None

    def _take(self, items: list[Any]) -> None:
        """Accept what can be accepted."""
        read: dict[str, tuple[Any, ClientKey]] = {}
        twice: set[str] = set()
        faults: list[str] = []
        for number, item in enumerate(items, 1):
            try:
                key = read_entry(item)
            except EntryError as error:
                faults.append(f"entry {number}{_named(item)}: {error}")
                continue
            if read.setdefault(key.sha256, (item, key))[0] != item:
                twice.add(key.sha256)
                faults.append(f"entry {number}{_named(item)}: the same key with other fields")
        self._keys = {sha: key for sha, (_, key) in read.items() if sha not in twice}
        self.refused = len(faults) + len(twice)
        self.fault = "no entry of the keys file can be used" if faults and not self._keys else ""
        self._tell(faults)

    def _refuse_all(self, fault: str) -> None:
        self._keys, self._seen, self.fault, self.refused = {}, None, fault, 0
        self._tell([fault])

    def _tell(self, faults: list[str]) -> None:
        """Say it once, and again only when it is something else."""
        more = f"; and {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
        told = "; ".join(faults[:_TOLD]) + more
        if told and told != self._told:
            log.log(self._loudness, "client keys are refused: %s", told)
        self._told = told


def _items(path: Path, size_bytes: int) -> list[Any]:
    """The entries as they stand there.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a file of keys, or says more than is known here.
    """
    if size_bytes > _MAX_FILE_BYTES:
        raise ValueError("too large")
    tree = orjson.loads(path.read_bytes())
    if not isinstance(tree, dict) or set(tree) != {"keys"} or not isinstance(tree["keys"], list):
        raise ValueError("not a file of keys")
    found: list[Any] = tree["keys"]
    return found


def _check_in_force(key: ClientKey, client: str) -> None:
    """The holder has shown that the key is theirs, so they may know what is wrong with it."""
    now = time.time()
    if key.disabled:
        raise unauthorized("This key is switched off.", code="disabled_api_key")
    if now < key.not_before_unix_s:
        raise unauthorized("This key is not yet in force.", code="early_api_key")
    if key.expires_unix_s is not None and now >= key.expires_unix_s:
        raise unauthorized("This key has expired.", code="expired_api_key")
    if key.allow is not None and client not in key.allow:
        raise forbidden("This key may not be used from this address.", code="address_not_allowed")


def _named(item: Any) -> str:
    key_id = item.get("id") if isinstance(item, dict) else None
    return f" ({key_id[:64]!r})" if isinstance(key_id, str) else ""
