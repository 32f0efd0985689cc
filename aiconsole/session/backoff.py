"""When a host may be tried again: jittered, and slow after a refused login.

Newer sshd versions (PerSourcePenalties) shut out an address that fails to log in; 15 s is the
least they hold it back, so an automatic retry never comes sooner.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from aiconsole.errors import HostKeyError, LoginError

_FIRST_S = 1.0
_MOST_S = 30.0
_LOGIN_FIRST_S = 15.0
_LOGIN_MOST_S = 600.0
_HOST_KEY_S = 5.0
_JITTER = 0.3


@dataclass(slots=True)
class Backoff:
    """The state of one host between attempts."""

    failures: int = 0
    """Failed attempts in a row."""
    not_before: float = 0.0
    """Monotonic time in seconds before which nothing is tried automatically."""

    def succeeded(self) -> None:
        """Start anew."""
        self.failures = 0
        self.not_before = 0.0

    def failed(self, error: Exception, now: float) -> None:
        """Note a failed attempt; the wait depends on its kind and grows with each one."""
        self.not_before = now + delay_s(error, self.failures) * (1 + random.random() * _JITTER)  # noqa: S311
        self.failures += 1


def delay_s(error: Exception, failures: int) -> float:
    """Return the least wait after an error that came after so many failures in a row."""
    doubling = 2.0 ** min(failures, 16)
    if isinstance(error, LoginError):
        return min(_LOGIN_FIRST_S * doubling, _LOGIN_MOST_S)
    if isinstance(error, HostKeyError):
        return _HOST_KEY_S
    return min(_FIRST_S * doubling, _MOST_S)
