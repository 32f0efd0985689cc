"""The certificate that the public socket shows; a new one is shown as soon as its files change.

Each pair gets a context of its own, and a handshake takes the newest: a pair that does not fit
together can never be half in force, and connections that are open keep what they began with.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from datetime import timezone
from pathlib import Path

from aiconsole.onhost.inferd.metrics import Metrics
from aiconsole.onhost.inferd.settings import TlsSettings
from aiconsole.onhost.inferd.start_error import StartError

log = logging.getLogger("inferd.tls")

_LOOK_EVERY_S = 2.0
_MAX_BYTES = 1024 * 1024
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_SOON_S = 7 * 86400.0


class _PairError(Exception):
    """A certificate and a key that cannot be used; the text says why."""


class Certificate:
    """Certificate and key of the daemon."""

    def __init__(self, settings: TlsSettings) -> None:
        """Read them.

        Raises:
            StartError: They cannot be used.
        """
        self._settings = settings
        self.expires_unix_s = 0.0
        """When the certificate in force ends."""
        self._fault = ""
        self._mark = self._stat()
        try:
            self._newest = self._load()
        except _PairError as error:
            raise _unusable(error) from error
        self.context = self._newest
        """What a listening socket is opened with."""
        self.context.sni_callback = self._choose

    async def watch(self) -> None:
        """Take what the files hold, as long as the daemon lives."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.refresh()

    def configure(self, settings: TlsSettings) -> None:
        """Other files, or another minimum, for the handshakes from now on.

        Raises:
            StartError: They cannot be used; what was in force stays.
        """
        known, self._settings = self._settings, settings
        try:
            self._newest = self._load()
        except _PairError as error:
            self._settings = known
            raise _unusable(error) from error
        self._mark, self._fault = self._stat(), ""

    def refresh(self) -> None:
        """Read the files again if they have changed; a bad pair leaves the old one in force."""
        mark = self._stat()
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._newest = self._load()
        except _PairError as error:
            if str(error) != self._fault:
                log.error("the old certificate stays in force: %s", error)
            self._fault = str(error)
        else:
            self._fault = ""
            log.info("the certificate was read again")

    def _choose(self, shown: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called in each handshake, with and without a server name."""
        if shown.context is not self._newest:
            shown.context = self._newest

    def _stat(self) -> tuple[object, ...]:
        return tuple(
            _mark(path) for path in (self._settings.certificate_file, self._settings.key_file)
        )

    def _load(self) -> ssl.SSLContext:
        settings = self._settings
        _check_private(Path(settings.key_file))
        expires_unix_s = _end_of(Path(settings.certificate_file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[settings.minimum]
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(
                settings.certificate_file, settings.key_file, password=_no_password
            )
        except ssl.SSLError as error:
            raise _PairError(_explained(settings, error)) from error
        except OSError as error:
            raise _PairError(f"{settings.key_file}: {error.strerror or error}") from error
        self.expires_unix_s = expires_unix_s
        left_s = expires_unix_s - time.time()
        if left_s < _SOON_S:
            log.warning("the certificate %s", "has expired" if left_s <= 0 else "expires soon")
        return context


def certificate(settings: TlsSettings | None, metrics: Metrics) -> Certificate | None:
    """The certificate of the settings, with its end among the metrics; None without `[tls]`.

    Raises:
        StartError: It cannot be used.
    """
    if settings is None:
        return None
    found = Certificate(settings)
    metrics.gauge(
        "inferd_tls_certificate_expiry_timestamp_seconds", "When the certificate in force ends.",
        lambda: found.expires_unix_s,
    )  # fmt: skip
    return found


def _unusable(error: _PairError) -> StartError:
    return StartError(
        "The certificate cannot be used", str(error),
        "Correct [tls] certificate_file and key_file.", permanent=True,
    )  # fmt: skip


def _mark(path: str) -> object:
    try:
        stat = os.stat(path)  # noqa: PTH116
    except OSError as error:
        return error.errno
    return (stat.st_ino, stat.st_mtime_ns, stat.st_size, stat.st_mode)


def _no_password() -> str:
    raise _PairError("the key is encrypted, and nobody is here to type its passphrase")


def _check_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _PairError(f"{path}: {error.strerror}") from error
    if mode & 0o007:
        raise _PairError(f"{path} can be read by everybody; it needs the mode 0600 or 0640")


def _end_of(path: Path) -> float:
    """When the first certificate of a chain ends."""
    # Late: a daemon without TLS need not load it.
    from cryptography import x509

    try:
        with path.open("rb") as file:
            certificates = x509.load_pem_x509_certificates(file.read(_MAX_BYTES))
    except OSError as error:
        raise _PairError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise _PairError(f"{path} holds no certificate in PEM") from error
    return certificates[0].not_valid_after_utc.astimezone(timezone.utc).timestamp()


def _explained(settings: TlsSettings, error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if "MISMATCH" in reason:
        return f"{settings.key_file} is not the key of {settings.certificate_file}"
    if "TOO_SMALL" in reason or "TOO_WEAK" in reason:
        return f"{settings.certificate_file} is too weak for TLS ({reason})"
    return f"{settings.key_file} holds no key in PEM that can be used"
