"""When the TLS certificate ends; read again only when its file has changed."""

from __future__ import annotations

import math
from pathlib import Path

_UNKNOWN = math.nan


class Expiry:
    """Of one certificate file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._ends_s = _UNKNOWN

    def unix_s(self) -> float:
        """End of the certificate that is valid the shortest; not a number if it cannot be read."""
        try:
            stat = self._path.stat()
            mark = (stat.st_ino, stat.st_mtime_ns)
            if mark != self._seen:
                self._ends_s = _first_end_s(self._path.read_bytes())
                self._seen = mark
        except (OSError, ValueError):
            self._seen = None
            return _UNKNOWN
        return self._ends_s


def _first_end_s(pem: bytes) -> float:
    from cryptography import x509  # only where there is TLS

    chain = x509.load_pem_x509_certificates(pem)
    return min(certificate.not_valid_after_utc.timestamp() for certificate in chain)
