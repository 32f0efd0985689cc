"""Who may ask: keys of a file that changes while the daemon runs."""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path

import httpx
import pytest

from tests.contract.inferd.running import Running, daemon, settings_text

ASK = {"prompt": "hi", "max_tokens": 1}


def _key(name: str) -> str:
    return f"ak-{name}-{secrets.token_urlsafe(32)}"


def _store(path: Path, **keys: str) -> None:
    found = [
        {"id": name, "label": name, "created_unix_s": 0,
         "sha256": hashlib.sha256(key.encode()).hexdigest()}
        for name, key in keys.items()
    ]  # fmt: skip
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps({"keys": found}))
    draft.replace(path)


def _code(running: Running, key: str = "", path: str = "/v1/completions") -> tuple[int, str]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = httpx.post(running.url + path, json=ASK, headers=headers)
    error = answer.json().get("error") or {}
    return answer.status_code, error.get("code", "")


def test_keys_change_without_a_restart(room: Path, tiny_model: Path) -> None:
    file, first, second = room / "keys.json", _key("first"), _key("second")
    _store(file, first=first)
    auth = f'required = true\nkeys_file = "{file}"'
    with daemon(room, settings_text(tiny_model, auth=auth)) as running:
        running.until_ready()
        assert _code(running) == (401, "missing_api_key")
        assert _code(running, first) == (200, "")
        assert _code(running, second) == (401, "invalid_api_key")
        assert _code(running, first[:-1]) == (401, "invalid_api_key")
        assert _code(running, "x" * 5000) == (401, "invalid_api_key")
        assert _code(running, hashlib.sha256(first.encode()).hexdigest())[0] == 401
        assert _code(running, path="/nowhere")[0] == 401

        _store(file, second=second)
        assert _code(running, first) == (401, "invalid_api_key")
        assert _code(running, second) == (200, "")

        file.write_text('{"keys": [{"id": "second", "sha256"')
        assert _code(running, second) == (401, "keys_unavailable")
        file.unlink()
        assert _code(running, second) == (401, "keys_unavailable")
        _store(file, first=first)
        assert _code(running, first) == (200, "")

        assert httpx.get(running.url + "/health").status_code == 200
        assert httpx.get(running.url + "/ready").status_code == 200
        # A peer on this machine may read the metrics; everything else needs a key.
        assert httpx.get(running.url + "/metrics").status_code == 200
        assert httpx.get(running.url + "/v1/models").status_code == 401
        assert running.stop() == 0
        assert first not in running.log
        assert second not in running.log
        labels = {line["key"] for line in running.audit if line["code"] == 200}
        assert labels == {"first", "second"}


@pytest.mark.parametrize("auth", ["", "required = false"])
def test_an_open_address_needs_a_key_whatever_the_settings_say(
    room: Path, tiny_model: Path, auth: str
) -> None:
    with daemon(room, settings_text(tiny_model, auth=auth), host="0.0.0.0") as running:
        running.until_ready()
        assert _code(running) == (401, "keys_unavailable")
        assert httpx.get(running.url + "/ready").status_code == 200
        assert running.status()["state"] == "ready"
