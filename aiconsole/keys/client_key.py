"""Client keys of inferd: generated here, shown once, kept on hosts as a hash only."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from aiconsole.keys.key_terms import KeyTerms
from aiconsole.onhost.wire.endpoints import MAX_LABEL_CHARS
from aiconsole.secret import Secret
from aiconsole.visible import visible

NO_LIMITS = KeyTerms()


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A fresh key with the entry that its hosts store."""

    key: Secret
    """`ak-<id>-<43 url-safe characters>`: 256 random bits behind a public id."""
    id: str
    label: str
    created_unix_s: int
    terms: KeyTerms = NO_LIMITS

    @property
    def entry(self) -> dict[str, Any]:
        """Its entry in a host's keys file: the hash, and what the key is good for."""
        return {
            "id": self.id,
            "label": self.label,
            "sha256": hashlib.sha256(self.key.reveal().encode()).hexdigest(),
            "created_unix_s": self.created_unix_s,
            **self.terms.as_fields(),
        }

    @property
    def keys_file(self) -> str:
        """Text of a host's keys file that knows this key alone."""
        return json.dumps({"keys": [self.entry]}, indent=2) + "\n"


def new_client_key(label: str, terms: KeyTerms = NO_LIMITS) -> ClientKey:
    """Generate a key. A plain hash is enough: 256 random bits cannot be guessed from it.

    Raises:
        RefusedError: No daemon would accept a key on these terms.
    """
    terms.check()
    key_id = secrets.token_hex(4)
    return ClientKey(
        key=Secret(f"ak-{key_id}-{secrets.token_urlsafe(32)}"),
        id=key_id,
        label=visible(label)[:MAX_LABEL_CHARS],
        created_unix_s=int(time.time()),
        terms=terms,
    )
