"""Client keys of inferd: generated here, shown once, kept on hosts as a hash only."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from dataclasses import dataclass

from aiconsole.secret import Secret


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A fresh key with the entry that its hosts store."""

    key: Secret
    """`ak-<id>-<43 url-safe characters>`: 256 random bits behind a public id."""
    id: str
    label: str
    created_unix_s: int

    @property
    def keys_file(self) -> str:
        """Text of a host's keys file that knows this key alone."""
        entry = {
            "id": self.id,
            "label": self.label,
            "sha256": hashlib.sha256(self.key.reveal().encode()).hexdigest(),
            "created_unix_s": self.created_unix_s,
        }
        return json.dumps({"keys": [entry]}, indent=2) + "\n"


def new_client_key(label: str) -> ClientKey:
    """Generate a key. A plain hash is enough: 256 random bits cannot be guessed from it."""
    key_id = secrets.token_hex(4)
    return ClientKey(
        key=Secret(f"ak-{key_id}-{secrets.token_urlsafe(32)}"),
        id=key_id,
        label=label,
        created_unix_s=int(time.time()),
    )
