"""Tokens (JWT) that somebody else signs: checked, and turned into what they are good for.

Which key checks a token is decided by the settings and the kind of the key. What the token says
of itself chooses among the allowed algorithms only, so that a public key is never taken for a
shared secret.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from aiconsole.onhost.inferd.access.grant import Grant
from aiconsole.onhost.inferd.access.jwks import read_key_set, read_pem
from aiconsole.onhost.inferd.access.key_source import FileKeys, KeySource, NoKeys, UrlKeys
from aiconsole.onhost.inferd.access.scope import granted
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.errors import ApiError, unauthorized, unavailable
from aiconsole.onhost.inferd.settings import JwtSettings
from aiconsole.onhost.inferd.start_error import StartError

MAX_TOKEN_CHARS = 8192
_REMEMBERED = 4096
"""Tokens that need not be checked again until they expire or the keys change."""
_MIN_SECRET_BYTES = 32
_MAX_SUBJECT_CHARS = 256
_MAX_NAME_CHARS = 64
_MAX_UNIX_S = 2**40


@dataclass(frozen=True, slots=True)
class _Checked:
    grant: Grant
    expires_unix_s: float
    """With the leeway."""


class Tokens:
    """Checks tokens by the settings of `[auth.jwt]`."""

    def __init__(self, settings: JwtSettings, credentials: Credentials) -> None:
        """Read the keys.

        Raises:
            StartError: They cannot be used.
        """
        self._settings = settings
        self._secret = _secret(settings, credentials)
        self._source = _source(settings)
        self._generation = self._source.generation
        self._checked: OrderedDict[bytes, _Checked] = OrderedDict()

    def open(self) -> None:
        """The loop runs from now on."""
        self._source.open()

    async def close(self) -> None:
        """The end."""
        await self._source.close()

    async def check(self, text: str) -> Grant:
        """What a token is good for.

        Raises:
            ApiError: 401, with what is wrong and never with the token; 503 without keys.
        """
        if len(text) > MAX_TOKEN_CHARS:
            raise unauthorized("This token is too long.", code="invalid_token")
        self._source.refresh()
        self._drop_old_answers()
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        checked = self._checked.get(digest)
        if checked is None:
            checked = await self._look_into(text)
            self._remember(digest, checked)
        elif checked.expires_unix_s <= time.time():
            del self._checked[digest]
            raise _expired()
        else:
            self._checked.move_to_end(digest)
        return checked.grant

    def _drop_old_answers(self) -> None:
        """A key that was taken back must not live on in what was checked with it."""
        if self._generation != self._source.generation:
            self._generation = self._source.generation
            self._checked.clear()

    def _remember(self, digest: bytes, checked: _Checked) -> None:
        if self._generation == self._source.generation:
            self._checked[digest] = checked
            if len(self._checked) > _REMEMBERED:
                self._checked.popitem(last=False)

    async def _look_into(self, text: str) -> _Checked:
        try:
            header = jwt.get_unverified_header(text)
            algorithm, kid = _named(header, self._settings)
            key = await self._key(algorithm, kid)
            claims = self._claims(text, key, algorithm)
            return _Checked(_grant(claims), claims["exp"] + self._settings.leeway_s)
        except jwt.ExpiredSignatureError:
            raise _expired() from None
        except jwt.ImmatureSignatureError:
            raise unauthorized("This token is not yet in force.", code="early_token") from None
        except jwt.InvalidAudienceError:
            raise _invalid("is for another audience") from None
        except jwt.InvalidIssuerError:
            raise _invalid("is of another issuer") from None
        except jwt.MissingRequiredClaimError as error:
            raise _invalid(f"lacks the claim `{error.claim}`") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise _invalid("is not one that is accepted here") from None

    async def _key(self, algorithm: str, kid: str) -> Any:
        """The one key for this algorithm and name."""
        if algorithm == "HS256":
            return self._secret
        if (key := self._find(algorithm, kid)) is not None:
            return key
        await self._source.ask()
        if (key := self._find(algorithm, kid)) is not None:
            return key
        if self._source.keys is None:
            raise unavailable("The keys for tokens are not there yet.", code="keys_unavailable")
        raise _invalid("is signed with a key that is not known here")

    def _find(self, algorithm: str, kid: str) -> Any:
        keys = self._source.keys
        return None if keys is None else keys.find(algorithm, kid)

    def _claims(self, text: str, key: Any, algorithm: str) -> dict[str, Any]:
        settings = self._settings
        required = ["exp", "sub", *(["iat"] if settings.max_age_s else [])]
        claims: dict[str, Any] = jwt.decode(
            text,
            key,
            algorithms=[algorithm],
            audience=settings.audience or None,
            issuer=settings.issuer or None,
            leeway=settings.leeway_s,
            options={"require": required, "verify_signature": True},
        )
        for name in ("exp", "iat", "nbf"):
            _check_moment(claims, name)
        if settings.max_age_s and claims["exp"] - claims["iat"] > settings.max_age_s:
            raise _invalid(f"is made for longer than {settings.max_age_s:g} s")
        return claims


def _named(header: dict[str, Any], settings: JwtSettings) -> tuple[str, str]:
    """Algorithm and key name of a header that asks for nothing else."""
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if algorithm not in settings.algorithms or not isinstance(kid, str):
        raise _invalid("is not signed with an algorithm that is accepted here")
    if "crit" in header or "b64" in header:
        raise _invalid("wants extensions that are not known here")
    return algorithm, kid


def _grant(claims: dict[str, Any]) -> Grant:
    subject = claims["sub"]
    if not subject or len(subject) > _MAX_SUBJECT_CHARS or not subject.isprintable():
        raise _invalid("has no usable `sub`")
    endpoints, models = granted(claims)
    return Grant(
        name=subject[:_MAX_NAME_CHARS],
        tenant=f"jwt:{subject}",
        models=models,
        endpoints=endpoints,
    )


def _check_moment(claims: dict[str, Any], name: str) -> None:
    """A moment is a number: a text that can be read as one is no moment."""
    value = claims.get(name, 0)
    if type(value) not in (int, float) or not 0 <= value < _MAX_UNIX_S:
        raise _invalid(f"has no usable `{name}`")


def _secret(settings: JwtSettings, credentials: Credentials) -> bytes:
    if settings.secret is None:
        return b""
    secret = credentials.read(settings.secret).reveal().encode()
    if len(secret) < _MIN_SECRET_BYTES:
        raise StartError(
            "The secret for tokens is too short",
            f"the credential `{settings.secret}` has {len(secret)} bytes",
            f"Make one of at least {_MIN_SECRET_BYTES} random bytes.", permanent=True,
        )  # fmt: skip
    return secret


def _source(settings: JwtSettings) -> KeySource:
    if settings.jwks_url:
        return UrlKeys(settings.jwks_url, settings.jwks_ttl_s, settings.jwks_ca_file)
    if settings.jwks_file:
        return FileKeys(Path(settings.jwks_file), read_key_set)
    if not settings.key_file:
        return NoKeys()
    source = FileKeys(Path(settings.key_file), read_pem)
    keys = source.keys
    if keys is None or not any(keys.find(name, "") for name in settings.algorithms):
        raise StartError(
            "The key for tokens does not fit", f"{settings.key_file} is no key for "
            + " or ".join(name for name in settings.algorithms if name != "HS256"),
            "Correct [auth.jwt] key_file or algorithms.", permanent=True,
        )  # fmt: skip
    return source


def _invalid(what: str) -> ApiError:
    return unauthorized(f"This token {what}.", code="invalid_token")


def _expired() -> ApiError:
    return unauthorized("This token has expired.", code="expired_token")
