"""Tokens (JWT) for clients of inferd: made here for testing, or to be handed out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jwt

from aiconsole.errors import RefusedError
from aiconsole.keys.signing_key import SigningKey
from aiconsole.onhost.wire.endpoints import ENDPOINTS, EVERY_ENDPOINT, MODEL_SCOPE
from aiconsole.secret import Secret

Algorithm: TypeAlias = Literal["HS256", "RS256", "EdDSA"]
ALGORITHMS: tuple[Algorithm, ...] = ("HS256", "RS256", "EdDSA")

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MAX_SUBJECT_CHARS = 256
_LONGEST_S = 10 * 365 * 86400


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """What a token says."""

    subject: str
    """Whom it is for; inferd keeps clients apart by it."""
    expires_in_s: int
    scope: str = ""
    """Names of endpoints, `all`, `model:NAME`, between spaces; empty leaves the claim out, and
    that is everything."""
    audience: str = ""
    issuer: str = ""

    def check(self) -> None:
        """Refuse what inferd would not accept, before a key is read or made.

        Raises:
            RefusedError: With what is wrong.
        """
        if not 0 < len(self.subject) <= _MAX_SUBJECT_CHARS or not self.subject.isprintable():
            raise RefusedError(
                "The token cannot be made so",
                f"its subject must be 1 to {_MAX_SUBJECT_CHARS} printable characters",
                "Name who will use it, as in --sub shop",
            )
        for word in self.scope.split():
            if word not in ENDPOINTS and word != EVERY_ENDPOINT and not _is_model(word):
                raise RefusedError(
                    "The token cannot be made so", f"{word!r} is no scope of inferd",
                    f"Words are {EVERY_ENDPOINT}, {', '.join(ENDPOINTS)} and {MODEL_SCOPE}NAME",
                )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A signed token."""

    text: Secret
    claims: dict[str, Any]


def make_token(key: SigningKey, terms: TokenTerms, kid: str = "") -> Token:
    """Sign a token.

    Raises:
        RefusedError: inferd would accept no such token.
    """
    terms.check()
    now = int(time.time())
    claims: dict[str, Any] = {"sub": terms.subject, "iat": now, "exp": now + terms.expires_in_s}
    named = {"scope": terms.scope, "aud": terms.audience, "iss": terms.issuer}
    claims.update({name: value for name, value in named.items() if value})
    headers = {"kid": kid} if kid else None
    return Token(Secret(jwt.encode(claims, key.material, key.algorithm, headers)), claims)


def parse_span(text: str) -> int:
    """Seconds of `90s`, `30m`, `1h`, `7d`, `2w`.

    Raises:
        RefusedError: It is no such text, or too long for a token that cannot be taken back.
    """
    digits, unit = text[:-1], text[-1:]
    seconds = int(digits) * _UNITS_S.get(unit, 0) if digits.isascii() and digits.isdigit() else 0
    if not 0 < seconds <= _LONGEST_S:
        raise RefusedError(
            "The time cannot be used", f"{text!r} is not a time of at most ten years",
            "Write it as 90s, 30m, 1h, 7d or 2w",
        )  # fmt: skip
    return seconds


def _is_model(word: str) -> bool:
    return word.startswith(MODEL_SCOPE) and len(word) > len(MODEL_SCOPE)
