"""Keys that tokens are signed with: read from private files, or made anew."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from aiconsole.errors import RefusedError, SettingsError
from aiconsole.secret import Secret

PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey
Passphrase: TypeAlias = Callable[[], Secret | None]

_MIN_SECRET_BYTES = 32
_RSA_BITS = 3072
_MIN_RSA_BITS = 2048
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """One key and what it signs with; it shows nothing of itself."""

    algorithm: str
    material: PrivateKey | bytes


def read_secret(path: Path) -> SigningKey:
    """A shared secret for HS256, without the line end that an editor leaves.

    Raises:
        SettingsError: The file cannot be used.
    """
    data = _read_private(path).rstrip(b"\r\n")
    if len(data) < _MIN_SECRET_BYTES:
        hint = "Make a new one with --new-key"
        raise _unusable(path, f"holds {len(data)} bytes, not {_MIN_SECRET_BYTES} or more", hint)
    try:
        data.decode()
    except UnicodeDecodeError:
        hint = "inferd reads it as text; make a new one with --new-key"
        raise _unusable(path, "is not UTF-8", hint) from None
    return SigningKey("HS256", data)


def read_private_key(path: Path, algorithm: str, passphrase: Passphrase) -> SigningKey:
    """A private key in PEM.

    Args:
        path: The file.
        algorithm: What it should sign with; empty takes what fits the key.
        passphrase: Asked where the key is encrypted; None where nobody can be asked.

    Raises:
        SettingsError: The file cannot be used.
    """
    key = _load(path, _read_private(path), passphrase)
    fits = "RS256" if isinstance(key, RSAPrivateKey) else "EdDSA"
    if algorithm and algorithm != fits:
        raise _unusable(path, f"is a key for {fits}, not for {algorithm}", f"Give --alg {fits}")
    if isinstance(key, RSAPrivateKey) and key.key_size < _MIN_RSA_BITS:
        detail = f"has {key.key_size} bits, and inferd accepts {_MIN_RSA_BITS} or more"
        raise _unusable(path, detail, "Make a new one with --new-key")
    return SigningKey(fits, key)


def new_key(path: Path, algorithm: str) -> tuple[SigningKey, Path | None]:
    """Make a key in a new file of mode 0600, its public half beside it.

    Returns:
        The key, and where its public half lies; None for a shared secret, which has none.

    Raises:
        RefusedError: There is a file already.
        SettingsError: The file cannot be written.
    """
    public_path = path.with_name(path.name + ".pub")
    if algorithm == "HS256":
        text = secrets.token_urlsafe(48).encode()
        _create(path, text + b"\n", 0o600)
        return SigningKey("HS256", text), None
    key: PrivateKey = Ed25519PrivateKey.generate()
    if algorithm == "RS256":
        key = generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    if public_path.exists():
        raise _exists(public_path)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _create(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    _create(public_path, public, 0o644)
    return SigningKey(algorithm, key), public_path


def _load(path: Path, data: bytes, passphrase: Passphrase) -> PrivateKey:
    key: object = None
    try:
        key = load_pem_private_key(data, None)
    except TypeError:  # the library's way to say that it is encrypted
        given = passphrase()
        if given is None:
            hint = "Run it on a terminal, or give a key without a passphrase"
            raise _unusable(path, "is encrypted, and nobody can be asked here", hint) from None
        try:
            key = load_pem_private_key(data, given.reveal().encode())
        except ValueError:
            raise _unusable(path, "does not open with this passphrase", "Try again") from None
    except (ValueError, UnsupportedAlgorithm):
        pass
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        hint = "Give an RSA or Ed25519 key in PEM, or make one with --new-key"
        raise _unusable(path, "holds no private key that can be used", hint)
    return key


def _read_private(path: Path) -> bytes:
    """The bytes of a file that nobody else may read."""
    try:
        # Not blocking: a named pipe would hold the command for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise _unusable(path, "is no file", "Name the file with the key")
            if found.st_mode & 0o077:
                detail = f"can be read by others (mode {stat.S_IMODE(found.st_mode):04o})"
                raise _unusable(path, detail, f"chmod 600 {path}, if nobody has read it")
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), "Name another file") from error
    if len(data) > _MAX_BYTES:
        raise _unusable(path, f"is larger than {_MAX_BYTES} bytes", "Name the file with the key")
    return data


def _create(path: Path, data: bytes, mode: int) -> None:
    try:
        # Born with its mode: there is no moment in which others could read it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fsync(file.fileno())
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise SettingsError(
            "The key cannot be written", f"{path}: {error.strerror}", "Name another place"
        ) from error


def _exists(path: Path) -> RefusedError:
    return RefusedError(
        "The key is not overwritten", f"{path} is there already",
        "Use it with --key-file or --secret-file, or name another file",
    )  # fmt: skip


def _unusable(path: Path, detail: str, hint: str) -> SettingsError:
    return SettingsError("The key cannot be used", f"{path} {detail}", hint)
