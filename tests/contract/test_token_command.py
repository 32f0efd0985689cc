"""`aiconsole token`, as a program of its own; the daemon's own check says whether it is good."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from aiconsole.cli.app import app
from aiconsole.errors import AiconsoleError
from aiconsole.onhost.inferd.access.jwt import Tokens
from aiconsole.onhost.inferd.credentials import Credentials
from aiconsole.onhost.inferd.settings import JwtSettings
from tests.fixtures.identity import rsa_key

Done = subprocess.CompletedProcess[str]


def _token(*argv: str | Path, umask: int = 0o022) -> Done:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "aiconsole", "token", *map(str, argv)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, umask=umask,
        timeout=60,
    )  # fmt: skip


def _good(*argv: str | Path) -> str:
    done = _token(*argv)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return line


async def _grant(text: str, place: Path, **settings: Any) -> Any:
    return await Tokens(JwtSettings(**settings), Credentials(place)).check(text)


def _private(path: Path, key: Any, passphrase: str = "") -> Path:
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256", ""])
async def test_a_new_pair(tmp_path: Path, algorithm: str) -> None:
    path, public = tmp_path / "key.pem", tmp_path / "key.pem.pub"
    chosen = ["--alg", algorithm] if algorithm else []
    done = _token("--sub", "shop", "--new-key", path, *chosen, "--scope", "chat  model:tiny",
                  umask=0)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (text,) = done.stdout.splitlines()
    assert str(public) in done.stderr
    assert text not in done.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    assert public.stat().st_mode & 0o777 == 0o644
    assert b"PRIVATE" not in public.read_bytes()
    settings = {"algorithms": [algorithm or "EdDSA"], "key_file": str(public)}
    grant = await _grant(text, tmp_path, **settings)
    assert (grant.tenant, grant.endpoints, grant.models) == ("jwt:shop", {"chat"}, {"tiny"})
    again = _good("--sub", "shop", "--key-file", path)
    assert (await _grant(again, tmp_path, **settings)).endpoints is None

    before = path.read_bytes()
    done = _token("--sub", "shop", "--new-key", path)
    assert done.returncode == 1
    assert "there already" in done.stderr
    assert path.read_bytes() == before


async def test_a_shared_secret(tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    done = _token("--sub", "shop", "--alg", "HS256", "--new-key", path)
    assert done.returncode == 0, done.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().strip() not in done.stdout + done.stderr
    settings = {"algorithms": ["HS256"], "secret": "jwt", "audience": "inferd", "issuer": "us"}
    text = _good("--sub", "shop", "--secret-file", path, "--aud", "inferd", "--iss", "us")
    assert (await _grant(text, tmp_path, **settings)).name == "shop"


def test_json_and_what_the_token_says(tmp_path: Path) -> None:
    path = _private(tmp_path / "key.pem", rsa_key())
    text = _good("--sub", "shop", "--key-file", path, "--expires", "7d", "--kid", "k1", "--json")
    found = json.loads(text)
    assert found["algorithm"] == "RS256"
    claims = found["claims"]
    assert claims["exp"] - claims["iat"] == 7 * 86400
    assert set(claims) == {"sub", "iat", "exp"}
    assert jwt.get_unverified_header(found["token"])["kid"] == "k1"
    assert jwt.decode(found["token"], rsa_key().public_key(), ["RS256"]) == claims


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_can_read(tmp_path: Path, mode: int) -> None:
    path = _private(tmp_path / "key.pem", rsa_key())
    path.chmod(mode)
    for option in ("--key-file", "--secret-file"):
        done = _token("--sub", "shop", option, path)
        assert done.returncode == 2
        assert "can be read by others" in done.stderr
        assert "chmod 600" in done.stderr
        assert done.stdout == ""


def test_what_cannot_be_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = _private(tmp_path / "key.pem", rsa_key())
    short, small = tmp_path / "short", _private(tmp_path / "small.pem", rsa_key("small", 1024))
    short.write_text("short")
    short.chmod(0o600)
    os.mkfifo(tmp_path / "pipe", 0o600)
    cases: tuple[tuple[list[str | Path], int, str], ...] = (
        (["--sub", "a"], 1, "needs one key"),
        (["--sub", "a", "--key-file", key, "--secret-file", key], 1, "needs one key"),
        (["--sub", "", "--key-file", key], 1, "subject"),
        (["--sub", "a\nb", "--key-file", key], 1, "subject"),
        (["--sub", "a", "--key-file", key, "--alg", "none"], 1, "algorithm is not known"),
        (["--sub", "a", "--key-file", key, "--alg", "EdDSA"], 2, "key for RS256"),
        (["--sub", "a", "--key-file", key, "--alg", "HS256"], 1, "--secret-file"),
        (["--sub", "a", "--secret-file", key, "--alg", "RS256"], 1, "HS256 alone"),
        (["--sub", "a", "--secret-file", short], 2, "5 bytes"),
        (["--sub", "a", "--key-file", short], 2, "no private key"),
        (["--sub", "a", "--key-file", small], 2, "1024 bits"),
        (["--sub", "a", "--key-file", tmp_path / "none"], 2, "No such file"),
        (["--sub", "a", "--key-file", tmp_path], 2, "directory"),
        (["--sub", "a", "--key-file", tmp_path / "pipe"], 2, "is no file"),
        (["--sub", "a", "--new-key", tmp_path / "no" / "dir"], 2, "No such file"),
        (["--sub", "a", "--key-file", key, "--scope", "chats"], 1, "'chats' is no scope"),
        (["--sub", "a", "--key-file", key, "--scope", "model:"], 1, "'model:' is no scope"),
        (["--sub", "a", "--key-file", key, "--expires", "1y"], 1, "90s, 30m"),
        (["--sub", "a", "--key-file", key, "--expires", "0h"], 1, "90s, 30m"),
        (["--sub", "a", "--key-file", key, "--expires", "-1h"], 1, "90s, 30m"),
        (["--sub", "a", "--key-file", key, "--expires", ""], 1, "90s, 30m"),
        (["--sub", "a", "--key-file", key, "--expires", "9999999999w"], 1, "90s, 30m"),
    )
    command = typer.main.get_command(app)
    for argv, code, told in cases:
        with pytest.raises(AiconsoleError) as error:
            command.main(["token", *map(str, argv)], standalone_mode=False)
        assert error.value.exit_code == code
        assert told in f"{error.value} {error.value.hint}"
        assert error.value.hint
    assert capsys.readouterr().out == ""
    new = ["token", "--sub", "a", "--new-key", str(tmp_path / "fresh"), "--scope", "chats"]
    with pytest.raises(AiconsoleError):
        command.main(new, standalone_mode=False)
    assert not (tmp_path / "fresh").exists()


def test_a_passphrase_is_asked_on_a_terminal_only(tmp_path: Path) -> None:
    path = _private(tmp_path / "key.pem", Ed25519PrivateKey.generate(), "open sesame")
    done = _token("--sub", "shop", "--key-file", path)
    assert done.returncode == 2
    assert "nobody can be asked" in done.stderr
    for typed, code in ((b"open sesame\n", 0), (b"wrong\n", 2)):
        main, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "aiconsole", "token", "--sub", "shop", "--key-file", str(path)],
            stdin=terminal, stderr=terminal, stdout=subprocess.PIPE,
        )  # fmt: skip
        os.close(terminal)
        told = b""
        while b"password: " not in told:
            told += os.read(main, 4096)
        os.write(main, typed)
        out, _ = process.communicate(timeout=60)
        os.close(main)
        assert process.returncode == code
        assert out.count(b".") == (2 if code == 0 else 0)
