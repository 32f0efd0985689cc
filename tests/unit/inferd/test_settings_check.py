"""Settings checked where no daemon runs: by its own code, with pydantic alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aiconsole
from aiconsole.onhost.wire import line_of

ROOT = str(Path(aiconsole.__file__).parents[1])
REMOTES = """\
[engine]
kind = "remote"

[[engine.remotes]]
name = "first"
url = "https://one.example/v1"
credential = "one"

[[engine.remotes]]
name = "second"
url = "ftp://two.example"
"""


def answer(text: str, **request: Any) -> dict[str, Any]:
    """What the check says, in an interpreter that can import nothing of the daemon's libraries."""
    code = (
        "import sys\n"
        f"sys.path.insert(0, {ROOT!r})\n"
        "for name in ('orjson', 'starlette', 'uvicorn', 'uvloop', 'aiohttp', 'prometheus_client',"
        " 'xllamacpp', 'jwt', 'redis', 'websockets', 'httptools', 'cryptography'):\n"
        "    sys.modules[name] = None\n"
        "from aiconsole.onhost.inferd.settings.check import main\n"
        "sys.exit(main())\n"
    )
    model = {"name": "m", "path": "/m.gguf"}
    asked = {"name": "ann.toml", "text": text, "foreign": [], "decided": {"model": model}}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], input=json.dumps({**asked, **request}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_needs_nothing_of_the_daemon_but_pydantic() -> None:
    assert answer("") == {"credentials": [], "files": []}


def test_a_fault_names_the_operators_file_and_line() -> None:
    fault = answer(REMOTES)["fault"]
    assert fault.startswith("ann.toml:11: engine.remotes.1.url: ")
    assert answer("[limits\n")["fault"].startswith("ann.toml: ")
    assert "at line 1" in answer("[limits\n")["fault"]
    told = answer('[engine]\nkind = "command"\n')["fault"]
    assert told.startswith("ann.toml: ")
    assert "[engine.command] is needed" in told


def test_secrets_and_files_of_the_host_are_told() -> None:
    text = REMOTES.replace("ftp://", "https://") + (
        '[tls]\ncertificate_file = "/etc/tls/c.pem"\nkey_file = "/etc/tls/k.pem"\n'
        '[auth.jwt]\nalgorithms = ["HS256"]\nsecret = "tokens"\n'
        '[cache]\nredis_password = "cache"\n[[smoke]]\nprompt = "x"\n'
    )
    assert answer(text, foreign=["smoke", "watch"]) == {
        "credentials": ["cache", "one", "tokens"],
        "files": [
            ["tls.certificate_file", "/etc/tls/c.pem"],
            ["tls.key_file", "/etc/tls/k.pem"],
        ],
    }
    assert "smoke: not a known key" in answer(text)["fault"]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (["engine", "remotes", "0", "url"], 6),
        (["engine", "remotes", "1", "name"], 10),
        (["engine", "remotes", "1", "credential"], 9),
        (["engine", "remotes", "7"], 1),
        (["engine", "slots"], 1),
        (["limits", "queue"], 0),
    ],
)
def test_the_nth_table_of_an_array_is_found(keys: list[str], line: int) -> None:
    assert line_of(REMOTES, keys) == line


def test_dotted_and_nested_keys_are_found() -> None:
    text = 'auth.required = true\n[[a]]\n[[a.b]]\nc = 1\n[[a]]\n[[a.b]]\n[a.b."d"]\nc = 2\n'
    assert line_of(text, ["auth", "required"]) == 1
    assert line_of(text, ["a", "0", "b", "0", "c"]) == 4
    assert line_of(text, ["a", "1", "b", "0", "d", "c"]) == 8
