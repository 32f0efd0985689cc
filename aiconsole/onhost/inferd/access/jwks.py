"""Public keys that tokens are checked with, each for one algorithm alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, TypeAlias

import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

log = logging.getLogger("inferd.jwt")

PublicKey: TypeAlias = RSAPublicKey | Ed25519PublicKey

MAX_BYTES = 256 * 1024
_MAX_KEYS = 100
_MIN_RSA_BITS = 2048
_MAX_RSA_BITS = 8192
"""A larger one would make each check of a token cost more than it should."""


class KeySetError(Exception):
    """Keys that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys that are in force now."""

    by_kid: dict[tuple[str, str], PublicKey]
    """Algorithm and `kid` to key."""
    by_algorithm: dict[str, tuple[PublicKey, ...]]

    def find(self, algorithm: str, kid: str) -> PublicKey | None:
        """The key that a token names; without a name, the only one there is for its algorithm."""
        if kid:
            return self.by_kid.get((algorithm, kid))
        found = self.by_algorithm.get(algorithm, ())
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class OneKey:
    """A single key from a PEM file, whatever name a token gives it."""

    algorithm: str
    key: PublicKey

    def find(self, algorithm: str, kid: str) -> PublicKey | None:
        """The key, for its own algorithm."""
        return self.key if algorithm == self.algorithm else None


def read_pem(data: bytes) -> OneKey:
    """Read one public key.

    Raises:
        KeySetError: It is none, or one of another kind.
    """
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise KeySetError("it holds no public key in PEM") from None
    if isinstance(key, Ed25519PublicKey):
        return OneKey("EdDSA", key)
    if isinstance(key, RSAPublicKey):
        _check_size(key)
        return OneKey("RS256", key)
    raise KeySetError("its key is neither RSA nor Ed25519")


def read_key_set(data: bytes) -> KeySet:
    """Read a JWKS; keys that are for something else are left out.

    Raises:
        KeySetError: It is none, or none of its keys can be used.
    """
    if len(data) > MAX_BYTES:
        raise KeySetError(f"it is larger than {MAX_BYTES} bytes")
    try:
        keys = orjson.loads(data)["keys"]
    except (ValueError, KeyError, TypeError):
        raise KeySetError("it is no JSON with a list of keys") from None
    if not isinstance(keys, list) or len(keys) > _MAX_KEYS:
        raise KeySetError(f"it must list at most {_MAX_KEYS} keys")
    by_kid: dict[tuple[str, str], PublicKey] = {}
    by_algorithm: dict[str, list[PublicKey]] = {}
    for item in keys:
        found = _read(item)
        if found is None:
            continue
        algorithm, key = found
        by_algorithm.setdefault(algorithm, []).append(key)
        if isinstance(kid := item.get("kid"), str) and kid:
            by_kid.setdefault((algorithm, kid), key)
    if not by_algorithm:
        raise KeySetError("none of its keys is an RSA or Ed25519 key for signatures")
    return KeySet(by_kid, {name: tuple(found) for name, found in by_algorithm.items()})


def _read(item: Any) -> tuple[str, PublicKey] | None:
    """One public key of a set and what it is for; None for what cannot be used."""
    if not isinstance(item, dict) or "d" in item or "k" in item:
        return None  # a secret that is published is a secret of nobody
    algorithm = _algorithm_of(item)
    operations = item.get("key_ops", ["verify"])
    if algorithm is None or item.get("use", "sig") != "sig":
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key = jwt.PyJWK(item, algorithm).key
        if isinstance(key, RSAPublicKey):
            _check_size(key)
    except (jwt.PyJWTError, KeySetError, ValueError, TypeError, KeyError) as error:
        log.warning("a key of the key set is left out: %s", type(error).__name__)
        return None
    return (algorithm, key) if isinstance(key, (RSAPublicKey, Ed25519PublicKey)) else None


def _algorithm_of(item: dict[str, Any]) -> str | None:
    """What a key of this type is used for here, unless it says that it is for something else."""
    kind, curve, named = item.get("kty"), item.get("crv"), item.get("alg")
    if kind == "RSA" and named in (None, "RS256"):
        return "RS256"
    if kind == "OKP" and curve == "Ed25519" and named in (None, "EdDSA", "Ed25519"):
        return "EdDSA"
    return None


def _check_size(key: RSAPublicKey) -> None:
    if not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        raise KeySetError(
            f"its RSA key has {key.key_size} bits, not {_MIN_RSA_BITS} to {_MAX_RSA_BITS}"
        )
