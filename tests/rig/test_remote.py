"""A host that computes nothing serves what another one does, by a key that it keeps to itself."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rig.console import Console
from tests.rig.host import RigHost
from tests.rig.rig import Rig

SETTINGS = """\
[model]
name = "assistant"

[engine]
kind = "remote"
breaker_failures = 2
breaker_open_s = 1

[[engine.remotes]]
name = "provider"
url = "http://{address}:8480/v1"
credential = "provider"
model = "builtin"
"""


@dataclass
class Pair:
    """The one that computes, and the one in front of it."""

    console: Console
    provider: RigHost
    front: RigHost
    key: str
    """Of the provider, for the front."""

    def settings(self) -> Path:
        path = self.console.home / "service.toml"
        path.write_text(SETTINGS.format(address=self.provider.address))
        return path

    def secret(self, text: str) -> str:
        path = self.console.home / "provider.key"
        path.touch(0o600)
        path.write_text(text)
        return f"provider={path}"


@pytest.fixture(scope="module")
def pair(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    provider, front = rig.boot("provider", "front")
    console = Console(tmp_path_factory.mktemp("console"))
    for host in (provider, front):
        console.add(host)
    deployed = console.fine("deploy", provider.name, "--listen", "0.0.0.0:8480", "--yes", "--json")
    return Pair(console, provider, front, deployed.result["client_key"])


def _ask(host: RigHost, key: str) -> tuple[int, dict[str, object]]:
    body = {"model": "assistant", "prompt": "The server", "max_tokens": 4}
    request = urllib.request.Request(
        f"http://{host.address}:8480/v1/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]


def test_a_host_serves_what_another_one_computes(pair: Pair) -> None:
    deploy = ["deploy", pair.front.name, "--settings", str(pair.settings()),
              "--listen", "0.0.0.0:8480", "--watch", "0", "--yes", "--json"]  # fmt: skip
    missing = pair.console.run(*deploy)
    assert missing.exit_code == 1, missing
    assert "--credential provider=FILE" in missing.out
    wrong = pair.console.run(*deploy, "--credential", pair.secret("ak-00000000-nobody-has-this"))
    assert wrong.exit_code == 2, wrong
    assert "refused its key (401)" in wrong.out
    assert pair.front.run("test", "-e", "/etc/aiconsole/credentials/provider.cred").returncode != 0

    done = pair.console.fine(*deploy, "--credential", pair.secret(pair.key))
    status, answer = _ask(pair.front, done.result["client_key"])
    assert (status, answer["model"]) == (200, "builtin"), answer
    assert _ask(pair.front, pair.key)[0] == 401  # the provider's key is none of its own
    assert pair.front.run("sh", "-c", "! ls /var/lib/aiconsole/models/*.gguf").returncode == 0

    # The provider goes: clients hear of a provider, never of a key, and readiness tells the truth.
    pair.console.fine("stop", pair.provider.name, "--yes", "--json")
    codes = {_ask(pair.front, done.result["client_key"])[1]["code"] for _ in range(4)}
    assert codes <= {"provider_unreachable", "engine_unavailable"}, codes
    told = pair.console.run("status", pair.front.name)
    assert "cannot be reached" in told.out
    pair.console.fine("start", pair.provider.name, "--yes", "--json")
    for _ in range(100):
        status, _ = _ask(pair.front, done.result["client_key"])
        if status == 200:
            break
        time.sleep(0.3)
    else:
        pytest.fail("it did not come back")
