"""What a client key is good for, as a host's keys file says it."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass, fields
from typing import Any

from aiconsole.errors import RefusedError
from aiconsole.onhost.wire.endpoints import ENDPOINTS


@dataclass(frozen=True, slots=True)
class KeyTerms:
    """Limits of one key; what is None or empty is not limited here."""

    expires_unix_s: int | None = None
    not_before_unix_s: int | None = None
    models: tuple[str, ...] = ()
    """Names of models that it may ask for."""
    endpoints: tuple[str, ...] = ()
    """Names of `ENDPOINTS` that it may use."""
    allow: tuple[str, ...] = ()
    """Addresses and networks that it may be used from."""
    requests_per_minute: float | None = None
    """0 is no limit; None takes the host's own."""
    tokens_per_minute: int | None = None
    """Prompt and answer; 0 is no limit, None takes the host's own."""
    tokens_per_day: int | None = None
    disabled: bool = False

    def as_fields(self) -> dict[str, Any]:
        """The fields of an entry; a limit that is not set is not there at all.

        A daemon refuses an entry with a field that it does not know, so an older one refuses a
        limited key instead of forgetting its limits.
        """
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value is not None and value != () and value is not False
        }

    def check(self) -> None:
        """Refuse what no daemon would accept.

        Raises:
            RefusedError: With the field that is wrong.
        """
        for name in self.endpoints:
            if name not in ENDPOINTS:
                raise _wrong(f"{name!r} is no endpoint", f"One of {', '.join(ENDPOINTS)}")
        if "" in self.models:
            raise _wrong("a model has no name", "Name it as /v1/models does")
        for text in self.allow:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                hint = "Write it as 10.0.0.7 or 10.0.0.0/8"
                raise _wrong(f"{text!r} is neither an address nor a network", hint) from None
        for name in ("requests_per_minute", "tokens_per_minute", "tokens_per_day"):
            if (getattr(self, name) or 0) < 0:
                raise _wrong(f"{name} is below 0", "0 is no limit")
        self._check_times()

    def _check_times(self) -> None:
        ends, begins = self.expires_unix_s, self.not_before_unix_s
        if ends is not None and ends <= max(begins or 0, int(time.time())):
            raise _wrong("it would have expired before it could be used", "Let it expire later")


def _wrong(detail: str, hint: str) -> RefusedError:
    return RefusedError("The key cannot be made so", detail, hint)
