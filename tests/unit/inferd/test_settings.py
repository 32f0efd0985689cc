"""settings.toml: defaults, and errors that name file, line and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiconsole.onhost.inferd.settings import load
from aiconsole.onhost.inferd.start_error import StartError

COMMAND = '[model]\nname = "m"\n[engine]\nkind = "command"\n[engine.command]\n'
REMOTE = '[model]\nname = "m"\n[engine]\nkind = "remote"\n[[engine.remotes]]\n'
TWICE = (
    REMOTE
    + 'name = "a"\nurl = "https://x/v1"\n[[engine.remotes]]\nname = "a"\nurl = "https://y/v1"'
)
GOOD = '[model]\nname = "tiny"\npath = "/m.gguf"\n'


def _refused(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StartError) as error:
        load(path)
    assert error.value.permanent
    return error.value.detail


def test_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD + "[limits]\ndrain_timeout_s = 5\n")
    settings = load(path)
    assert settings.model.name == "tiny"
    assert settings.limits.drain_timeout_s == 5.0
    assert settings.limits.queue == 64
    assert settings.engine.kind == "llama"
    assert settings.auth.required is False


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ": model: Field required"),
        ("[model]\n", ":1: model.name: Field required"),
        (GOOD + "\n[limits]\nqueue = -1\n", ":6: limits.queue: "),
        (GOOD + '[limits]\nqueue = "9"\n', ":5: limits.queue: Input should be a valid integer"),
        (GOOD + "[limits]\nqueu = 9\n", ":5: limits.queu: not a known key"),
        (GOOD + "[limit]\nqueue = 9\n", ":4: limit: not a known key"),
        (GOOD + '[engine]\nkind = "magic"\n', ":5: engine.kind: Input should be 'llama'"),
        (GOOD + '[auth]\nrequired = "no"\n', ":5: auth.required: "),
        ('[model]\nname = "a"\npath = "/m"\nsha256 = "xyz"\n', ":4: model.sha256: "),
        ("[model\n", "line 1"),
        (
            GOOD + '[cache]\nbackend = "redis"\n',
            ":4: cache: Value error, cache.redis_url is needed",
        ),
        (
            GOOD + '[cache]\nredis_url = "redis://:horse@h/0"\n',
            ":4: cache: Value error, cache.redis",
        ),
        (GOOD + '[cache]\nredis_url = "unix:///s?password=horse"\n', "holds a password"),
        (GOOD + '[cache]\nredis_url = "http://h"\n', ":5: cache.redis_url: "),
        (GOOD + '[audit]\npath = "audit.log"\n', ":5: audit.path: "),
        (COMMAND + "argv = []\n", ":6: engine.command.argv: "),
        (
            COMMAND + 'argv = ["vllm"]\n',
            ":5: engine.command: Value error, {port} must be somewhere",
        ),
        (COMMAND + 'argv = ["a", "{port}"]\ntransport = "socket"\n', "{socket} must be somewhere"),
        (COMMAND + 'argv = ["a", "{port}"]\nkey_variable = "A=b"\n', ":7: engine.command.key_var"),
        (
            REMOTE + 'url = "https://me:s3cret@x/v1"\n',
            ":6: engine.remotes.0.url: Value error, must",
        ),
        (REMOTE + 'url = "https://x/v1?key=s3cret"\n', "must be the base of an API"),
        (REMOTE + 'url = "ftp://x"\n', ":6: engine.remotes.0.url: String should match"),
        (TWICE, "two of them have the same name"),
    ],
)
def test_faults(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "settings.toml"
    assert f"{path}" in _refused(path, text)
    assert told in _refused(path, text)
    for secret in ("horse", "s3cret"):  # nothing secret that was put into the file
        assert secret not in _refused(path, text)


def test_not_readable(tmp_path: Path) -> None:
    assert "not UTF-8 at byte 0" in _refused(tmp_path / "settings.toml", b"\xff\xfe")
    with pytest.raises(StartError, match="No such file"):
        load(tmp_path / "none.toml")
