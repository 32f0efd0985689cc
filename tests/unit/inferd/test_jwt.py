"""Tokens: which are accepted, what they are good for, and every way in which one is refused."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from aiconsole.onhost.inferd.access import jwt as tokens_module
from aiconsole.onhost.inferd.access.jwks import KeySetError, read_key_set, read_pem
from aiconsole.onhost.inferd.access.jwt import Tokens
from aiconsole.onhost.inferd.access.scope import granted
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.errors import ApiError
from aiconsole.onhost.inferd.settings import JwtSettings
from aiconsole.onhost.inferd.start_error import StartError
from tests.fixtures.identity import (
    Signer,
    by_hand,
    claims,
    jwk,
    key_set,
    part,
    public_pem,
    rsa_key,
)

SECRET = b"correct horse battery staple tr0ub4dor"
HMAC = Signer(SECRET, "HS256")
RSA = Signer(rsa_key(), "RS256")
EDWARDS = Ed25519PrivateKey.generate()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "jwt").write_bytes(SECRET + b"\n")
    (tmp_path / "jwt").chmod(0o600)
    (tmp_path / "key.pem").write_bytes(public_pem(rsa_key()))
    return tmp_path


def _tokens(place: Path, *algorithms: str, **more: Any) -> Tokens:
    found: dict[str, Any] = {"algorithms": list(algorithms), **more}
    if "HS256" in algorithms:
        found["secret"] = "jwt"
    if set(algorithms) - {"HS256"} and "jwks_file" not in found:
        found.setdefault("key_file", str(place / "key.pem"))
    return Tokens(JwtSettings(**found), Credentials(place))


async def _code(tokens: Tokens, text: str) -> str:
    with pytest.raises(ApiError) as refused:
        await tokens.check(text)
    assert refused.value.status == 401
    assert text[:40] not in str(refused.value) or not text[:40]
    return refused.value.code


async def test_a_good_token_of_each_kind(place: Path) -> None:
    both = _tokens(place, "HS256", "RS256")
    for text in (HMAC.token(), RSA.token(), RSA.token({"kid": "any"})):
        grant = await both.check(text)
        assert (grant.name, grant.tenant) == ("shop", "jwt:shop")
        assert grant.models is grant.endpoints is None
        assert await both.check(text) is grant
    (place / "key.pem").write_bytes(public_pem(EDWARDS))
    edwards = _tokens(place, "EdDSA")
    assert (await edwards.check(Signer(EDWARDS, "EdDSA").token())).tenant == "jwt:shop"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, 0, ["HS256"]])
async def test_a_token_without_signature(place: Path, name: Any) -> None:
    tokens = _tokens(place, "HS256", "RS256")
    head = {"alg": name, "typ": "JWT"}
    assert await _code(tokens, by_hand(head, claims())) == "invalid_token"
    assert await _code(tokens, by_hand(head, claims(), b"")) == "invalid_token"
    assert await _code(tokens, by_hand({"typ": "JWT"}, claims())) == "invalid_token"


async def test_a_public_key_is_no_secret(place: Path) -> None:
    """Whoever has the public key could sign with it, were it taken for a shared secret."""
    pem = public_pem(rsa_key())
    forged = [
        by_hand({"alg": "HS256", "typ": "JWT"}, claims(), secret)
        for secret in (pem, pem.rstrip(), public_pem(rsa_key()).replace(b"\n", b""), b"")
    ]
    for allowed in (["RS256"], ["HS256", "RS256"]):
        tokens = _tokens(place, *allowed)
        await tokens.check(RSA.token())
        for text in forged:
            assert await _code(tokens, text) == "invalid_token"


async def test_an_algorithm_that_is_not_allowed(place: Path) -> None:
    tokens = _tokens(place, "RS256")
    assert await _code(tokens, HMAC.token()) == "invalid_token"
    for algorithm in ("RS384", "RS512", "PS256"):
        assert await _code(tokens, Signer(rsa_key(), algorithm).token()) == "invalid_token"
    assert await _code(tokens, Signer(EDWARDS, "EdDSA").token()) == "invalid_token"
    only_hmac = _tokens(place, "HS256")
    for algorithm in ("HS384", "HS512"):
        text = Signer(SECRET * 2, algorithm).token()
        assert await _code(only_hmac, text) == "invalid_token"
    assert await _code(only_hmac, RSA.token()) == "invalid_token"


async def test_a_changed_token(place: Path) -> None:
    tokens = _tokens(place, "HS256", "RS256")
    for signer in (HMAC, RSA):
        head, _, signature = signer.token().split(".")
        assert await _code(tokens, f"{head}.{part(claims(sub='root'))}.{signature}")
        assert await _code(tokens, signer.token()[:-8] + "AAAAAAAA") == "invalid_token"
    assert await _code(tokens, Signer(rsa_key("other"), "RS256").token()) == "invalid_token"
    assert await _code(tokens, Signer(b"x" * 40, "HS256").token()) == "invalid_token"


@pytest.mark.parametrize(
    "text",
    ["..", "a.b.c", "eyJ.eyJ.x", "\ud800.b.c", "é.é.é", f"{part([])}.{part({})}.x",
     f"{part(b'[' * 5000)}.x.x", f"{part({'alg': 'HS256'})}.{part(b'[' * 5000)}.x", "." * 9000],
)  # fmt: skip
async def test_what_is_no_token(place: Path, text: str) -> None:
    assert await _code(_tokens(place, "HS256", "RS256"), text) == "invalid_token"


async def test_a_huge_token(place: Path) -> None:
    tokens = _tokens(place, "HS256")
    assert await _code(tokens, HMAC.token(padding="x" * 9000)) == "invalid_token"
    await tokens.check(HMAC.token(padding="x" * 4000))


@pytest.mark.parametrize(
    "head", [{"crit": ["b64"], "b64": False}, {"crit": ["exp"]}, {"b64": True}]
)
async def test_extensions_are_not_ignored(place: Path, head: dict[str, Any]) -> None:
    text = by_hand({"alg": "HS256", **head}, claims(), SECRET)
    assert await _code(_tokens(place, "HS256"), text) == "invalid_token"


async def test_a_key_inside_the_token_is_not_looked_at(place: Path) -> None:
    mine = rsa_key("mine")
    for head in ({"jwk": jwk(mine)}, {"jku": "http://127.0.0.1:1/"}, {"x5u": "http://127.0.0.1:1"}):
        text = Signer(mine, "RS256").token(head)
        assert await _code(_tokens(place, "RS256"), text) == "invalid_token"


NOW = int(time.time())


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"exp": NOW - 60}, "expired_token"),
        ({"exp": None}, "invalid_token"),
        ({"exp": "tomorrow"}, "invalid_token"),
        ({"exp": str(NOW + 3600)}, "invalid_token"),
        ({"exp": True}, "expired_token"),
        ({"exp": 1e300}, "invalid_token"),
        ({"exp": float("inf")}, "invalid_token"),
        ({"exp": [NOW]}, "invalid_token"),
        ({"nbf": NOW + 3600}, "early_token"),
        ({"nbf": "now"}, "invalid_token"),
        ({"iat": NOW + 3600}, "early_token"),
        ({"iat": "now"}, "invalid_token"),
        ({"sub": None}, "invalid_token"),
        ({"sub": ""}, "invalid_token"),
        ({"sub": "x" * 257}, "invalid_token"),
        ({"sub": "a\x1b[2J"}, "invalid_token"),
        ({"sub": "a\nb"}, "invalid_token"),
        ({"aud": "somebody"}, "invalid_token"),
        ({"scope": 3}, "invalid_token"),
        ({"scope": None, "scp": [3]}, "invalid_token"),
        ({"scope": {"chat": 1}}, "invalid_token"),
    ],
)
async def test_claims_that_do_not_do(place: Path, changed: dict[str, Any], code: str) -> None:
    payload = claims(**changed)
    text = by_hand({"alg": "HS256"}, payload, SECRET)
    assert await _code(_tokens(place, "HS256"), text) == code


async def test_audience_and_issuer(place: Path) -> None:
    tokens = _tokens(place, "HS256", audience="inferd", issuer="https://id.example.com")
    good: dict[str, Any] = {"aud": "inferd", "iss": "https://id.example.com"}
    await tokens.check(HMAC.token(**good))
    await tokens.check(HMAC.token(**{**good, "aud": ["other", "inferd"]}))
    wrong: tuple[dict[str, Any], ...] = (
        {"aud": "other"}, {"aud": None}, {"aud": []}, {"aud": ["inferd2"]}, {"aud": 3},
        {"iss": "https://id.example.com/"}, {"iss": None}, {"iss": "https://id.example.com.evil"},
        {"iss": "https://id.example"},
    )  # fmt: skip
    for changed in wrong:
        text = by_hand({"alg": "HS256"}, claims(**{**good, **changed}), SECRET)
        assert await _code(tokens, text) == "invalid_token"


async def test_leeway(place: Path) -> None:
    now = int(time.time())
    wrong: tuple[dict[str, Any], ...] = ({"exp": now - 20}, {"nbf": now + 20}, {"iat": now + 20})
    for changed in wrong:
        text = HMAC.token(**changed)
        await _tokens(place, "HS256", leeway_s=300.0).check(text)
        assert await _code(_tokens(place, "HS256", leeway_s=0.0), text)


async def test_the_longest_time(place: Path) -> None:
    tokens = _tokens(place, "HS256", max_age_s=3600.0)
    now = int(time.time())
    await tokens.check(HMAC.token(iat=now, exp=now + 3600))
    assert await _code(tokens, HMAC.token(iat=now, exp=now + 3601)) == "invalid_token"
    assert await _code(tokens, HMAC.token(iat=None)) == "invalid_token"


async def test_a_token_that_was_checked_still_expires(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = _tokens(place, "HS256", leeway_s=5.0)
    text, now = HMAC.token(exp=int(time.time()) + 100), time.time()
    await tokens.check(text)
    monkeypatch.setattr(time, "time", lambda: now + 104)
    await tokens.check(text)
    monkeypatch.setattr(time, "time", lambda: now + 106)
    assert await _code(tokens, text) == "expired_token"
    assert not tokens._checked


async def test_a_token_is_checked_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, asked = _tokens(place, "RS256"), list[str]()
    look = tokens._look_into

    def watched(text: str) -> Any:
        asked.append(text)
        return look(text)

    monkeypatch.setattr(tokens, "_look_into", watched)
    text = RSA.token()
    for _ in range(100):
        await tokens.check(text)
    assert asked == [text]


async def test_what_is_remembered_is_bounded(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "_REMEMBERED", 10)
    tokens = _tokens(place, "HS256")
    for number in range(50):
        await tokens.check(HMAC.token(sub=f"s{number}"))
    assert len(tokens._checked) == 10


async def test_another_key_file_ends_what_the_old_one_signed(place: Path) -> None:
    tokens, other = _tokens(place, "RS256"), Signer(rsa_key("other"), "RS256")
    old, new = RSA.token(), other.token()
    await tokens.check(old)
    draft = place / "draft"
    draft.write_bytes(public_pem(rsa_key("other")))
    draft.replace(place / "key.pem")
    assert await _code(tokens, old) == "invalid_token"
    await tokens.check(new)


async def test_a_key_file_that_breaks_is_told_once(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = _tokens(place, "RS256")
    (place / "key.pem").write_text("-----BEGIN")
    for number in range(3):
        await tokens.check(RSA.token(sub=f"s{number}"))
    (place / "key.pem").unlink()
    for number in range(3):
        await tokens.check(RSA.token(sub=f"t{number}"))
    assert len(caplog.messages) == 2
    assert all("stay in force" in line for line in caplog.messages)


async def test_a_key_set_in_a_file(place: Path) -> None:
    path = place / "keys.json"
    one, two = rsa_key("one"), rsa_key("two")
    path.write_bytes(key_set(jwk(one, "1"), jwk(two, "2"), jwk(EDWARDS, "3")))
    tokens = _tokens(place, "RS256", "EdDSA", jwks_file=str(path))
    await tokens.check(Signer(one, "RS256", "1").token())
    await tokens.check(Signer(two, "RS256", "2").token())
    await tokens.check(Signer(EDWARDS, "EdDSA", "3").token())
    await tokens.check(Signer(EDWARDS, "EdDSA").token())  # the only one of its kind
    for signer in (
        Signer(one, "RS256", "2"), Signer(one, "RS256"), Signer(one, "RS256", "9"),
        Signer(one, "RS256", "3"), Signer(EDWARDS, "EdDSA", "1"),
    ):  # fmt: skip
        assert await _code(tokens, signer.token()) == "invalid_token"
    assert await _code(tokens, Signer(one, "RS256").token({"kid": "../1"})) == "invalid_token"
    path.write_bytes(key_set(jwk(two, "2")))
    assert await _code(tokens, Signer(one, "RS256", "1").token()) == "invalid_token"
    await tokens.check(Signer(two, "RS256", "2").token())


def test_keys_of_a_set_that_are_for_something_else() -> None:
    good = jwk(rsa_key(), "good")
    bad = [
        jwk(rsa_key("one"), "enc", use="enc"), jwk(rsa_key("one"), "ops", key_ops=["encrypt"]),
        jwk(rsa_key("one"), "alg", alg="RS512"), jwk(rsa_key("one"), "none", alg="none"),
        {"kty": "oct", "k": part(SECRET), "kid": "oct", "alg": "HS256"},
        {**good, "kid": "private", "d": "AQAB"}, {"kty": "RSA", "kid": "empty"},
        {"kty": "RSA", "n": "!!", "e": "AQAB", "kid": "text"}, {"kty": ["RSA"], "kid": "list"},
        jwk(rsa_key("small", 1024), "small"), "text", None, 3, {"kid": 3},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "short"},
        {"kty": "OKP", "crv": ["Ed25519"], "x": "AA", "kid": "crv"},
        jwk(rsa_key("one"), "opsn", key_ops=3),
    ]  # fmt: skip
    found = read_key_set(key_set(*bad, good))  # type: ignore[arg-type]
    assert set(found.by_kid) == {("RS256", "good")}
    assert len(found.by_algorithm["RS256"]) == 1
    with pytest.raises(KeySetError, match="none of its keys"):
        read_key_set(key_set(*bad))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"keys": 3}', b"\xff", key_set(*[{"kid": "a"}] * 101),
     key_set({"kid": "a" * 300_000})],
    ids=range(7),
)  # fmt: skip
def test_what_is_no_key_set(data: bytes) -> None:
    with pytest.raises(KeySetError):
        read_key_set(data)


def test_what_is_no_public_key() -> None:
    curve = ec_key(SECP256R1()).public_key()
    elliptic = curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data in (b"", SECRET, elliptic, public_pem(rsa_key("small", 1024))):
        with pytest.raises(KeySetError):
            read_pem(data)


def test_settings_that_cannot_be_meant(place: Path) -> None:
    pem = str(place / "key.pem")
    cases: tuple[dict[str, Any], ...] = (
        {"algorithms": []}, {"algorithms": ["none"]}, {"algorithms": ["RS512"], "key_file": pem},
        {"algorithms": ["HS256"]}, {"algorithms": ["RS256"]}, {"algorithms": ["EdDSA"]},
        {"algorithms": ["RS256"], "key_file": pem, "secret": "jwt"},
        {"algorithms": ["HS256"], "secret": "jwt", "key_file": pem},
        {"algorithms": ["RS256"], "key_file": pem, "jwks_file": pem},
        {"algorithms": ["RS256"], "jwks_url": "http://id.example.com/keys"},
        {"algorithms": ["RS256"], "jwks_url": "http://127.0.0.1.example.com/keys"},
        {"algorithms": ["RS256"], "jwks_url": "ftp://id.example.com/keys"},
        {"algorithms": ["RS256"], "jwks_url": "https://me:word@id.example.com/keys"},
        {"algorithms": ["RS256"], "jwks_url": "http://127.0.0.1@id.example.com/keys"},
    )  # fmt: skip
    for wrong in cases:
        with pytest.raises(ValidationError):
            JwtSettings(**wrong)
    for url in ("https://id.example.com/k", "http://127.0.0.1:1/k", "http://[::1]:1/k"):
        JwtSettings(algorithms=["RS256"], jwks_url=url)


def test_keys_that_cannot_be_used(place: Path) -> None:
    cases: tuple[tuple[list[str], dict[str, Any], str], ...] = (
        (["RS256"], {"key_file": str(place / "none")}, "No such file"),
        (["RS256"], {"key_file": str(place / "jwt")}, "no public key"),
        (["EdDSA"], {}, "no key for EdDSA"),
        (["RS256"], {"jwks_file": str(place / "key.pem")}, "no JSON"),
    )
    for algorithms, more, told in cases:
        with pytest.raises(StartError, match=told) as refused:
            _tokens(place, *algorithms, **more)
        assert refused.value.permanent
    (place / "jwt").write_text("short")
    with pytest.raises(StartError, match="too short") as refused:
        _tokens(place, "HS256")
    assert "short" not in refused.value.hint


@pytest.mark.parametrize(
    ("given", "endpoints", "models"),
    [
        ({}, None, None),
        ({"scope": "chat embeddings"}, {"chat", "embeddings"}, None),
        ({"scope": ["chat", "stream"]}, {"chat", "stream"}, None),
        ({"scp": "chat"}, {"chat"}, None),
        ({"scope": "chat", "scp": "all"}, {"chat"}, None),
        ({"scope": "all"}, None, None),
        ({"scope": "all model:a model:b"}, None, {"a", "b"}),
        ({"scope": "model:a"}, set(), {"a"}),
        ({"scope": "openid profile"}, set(), None),
        ({"scope": ""}, set(), None),
        ({"scope": []}, set(), None),
        ({"scope": "ALL Chat"}, set(), None),
        ({"scope": "model:"}, set(), {""}),
    ],
)
def test_scope(given: dict[str, Any], endpoints: Any, models: Any) -> None:
    assert granted(given) == (endpoints, models)


async def test_many_at_once(place: Path) -> None:
    tokens = _tokens(place, "RS256")
    texts = [RSA.token(sub=f"s{number}") for number in range(50)]
    grants = await asyncio.gather(*(tokens.check(text) for text in texts))
    assert [grant.tenant for grant in grants] == [f"jwt:s{number}" for number in range(50)]
