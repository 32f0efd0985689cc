"""token: a signed token for clients of inferd; the token itself goes to stdout, and only it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from aiconsole.cli.ask import ask_terminal
from aiconsole.cli.output import print_json
from aiconsole.errors import RefusedError
from aiconsole.keys.signing_key import SigningKey, new_key, read_private_key, read_secret
from aiconsole.keys.token import ALGORITHMS, Token, TokenTerms, make_token, parse_span
from aiconsole.question import Question
from aiconsole.secret import Secret
from aiconsole.visible import visible


def token(
    sub: Annotated[str, typer.Option(help="Whom it is for; clients are kept apart by it.")],
    alg: Annotated[
        str, typer.Option(help="HS256, RS256 or EdDSA; default: what fits the key.")
    ] = "",
    secret_file: Annotated[
        Path | None, typer.Option(help="Shared secret for HS256; the daemon has the same.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="Private key in PEM for RS256 or EdDSA.")
    ] = None,
    new_key_file: Annotated[
        Path | None,
        typer.Option("--new-key", help="Make the key in this new file; default --alg: EdDSA."),
    ] = None,
    scope: Annotated[
        str, typer.Option(help="Such as `chat embeddings model:NAME`; default: everything.")
    ] = "",
    aud: Annotated[str, typer.Option(help="Audience that the daemon expects.")] = "",
    iss: Annotated[str, typer.Option(help="Issuer that the daemon expects.")] = "",
    kid: Annotated[str, typer.Option(help="Name of the key in a key set.")] = "",
    expires: Annotated[str, typer.Option(help="90s, 30m, 1h, 7d, 2w.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="Token and claims as JSON.")] = False,
) -> None:
    """Make a signed token (JWT) for clients of a service."""
    if alg not in ("", *ALGORITHMS):
        raise RefusedError(
            "The algorithm is not known", repr(alg), f"One of {', '.join(ALGORITHMS)}"
        )
    terms = TokenTerms(sub, parse_span(expires), " ".join(scope.split()), aud, iss)
    terms.check()
    key, public_path = _key(alg, secret_file, key_file, new_key_file)
    made = make_token(key, terms, kid)
    if as_json:
        print_json(_document(key, made, public_path))
        return
    if new_key_file is not None:
        what = "shared secret" if public_path is None else "public key"
        print(f"{what}: {visible(str(public_path or new_key_file))}", file=sys.stderr)
    print(made.text.reveal())


def _key(
    algorithm: str, secret_file: Path | None, key_file: Path | None, new_key_file: Path | None
) -> tuple[SigningKey, Path | None]:
    given = [path for path in (secret_file, key_file, new_key_file) if path is not None]
    if len(given) != 1:
        raise RefusedError(
            "A token needs one key", f"{len(given)} were given",
            "Give one of --secret-file, --key-file and --new-key",
        )  # fmt: skip
    if new_key_file is not None:
        return new_key(new_key_file, algorithm or "EdDSA")
    if secret_file is not None:
        if algorithm not in ("", "HS256"):
            hint = "Give --key-file, or --alg HS256"
            raise RefusedError("The key does not fit", f"a secret is for HS256 alone, not for "
                               f"{algorithm}", hint)  # fmt: skip
        return read_secret(secret_file), None
    if algorithm == "HS256":
        hint = "Give --secret-file, or another --alg"
        raise RefusedError("The key does not fit", "HS256 takes a secret, no key file", hint)
    assert key_file is not None
    return read_private_key(key_file, algorithm, _ask_passphrase), None


def _ask_passphrase() -> Secret | None:
    answer = asyncio.run(ask_terminal(Question("secret", "Passphrase of the key")))
    return answer if isinstance(answer, Secret) else None


def _document(key: SigningKey, made: Token, public_path: Path | None) -> dict[str, object]:
    return {
        "token": made.text.reveal(),
        "algorithm": key.algorithm,
        "claims": made.claims,
        "public_key_file": str(public_path) if public_path else "",
    }
