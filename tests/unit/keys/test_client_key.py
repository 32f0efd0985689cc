"""Keys that the console makes, read by the daemon that is to accept them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from aiconsole.errors import RefusedError
from aiconsole.keys.client_key import new_client_key
from aiconsole.keys.key_terms import KeyTerms
from aiconsole.onhost.inferd.access.grant import Grant
from aiconsole.onhost.inferd.access.keys import KeyFile
from aiconsole.onhost.inferd.errors import ApiError


def _known(path: Path, text: str) -> KeyFile:
    path.write_text(text)
    return KeyFile(path)


def test_a_key_without_limits(tmp_path: Path) -> None:
    made = new_client_key("first key of web1")
    assert set(made.entry) == {"id", "label", "sha256", "created_unix_s"}
    keys = _known(tmp_path / "keys.json", made.keys_file)
    assert keys.check(made.key.reveal()) == Grant(name="first key of web1", tenant=made.id)
    assert made.key.reveal() not in made.keys_file
    assert made.key.reveal() not in repr(made)


def test_a_key_with_every_limit(tmp_path: Path) -> None:
    now = int(time.time())
    terms = KeyTerms(
        expires_unix_s=now + 3600, not_before_unix_s=now - 5, models=("a", "b"),
        endpoints=("chat", "models"), allow=("10.0.0.0/8", "2001:db8::1"), requests_per_minute=30.5,
        tokens_per_minute=0, tokens_per_day=9000,
    )  # fmt: skip
    made = new_client_key("shop", terms)
    keys = _known(tmp_path / "keys.json", made.keys_file)
    assert keys.refused == 0
    assert keys.check(made.key.reveal(), "10.9.9.9") == Grant(
        "shop", made.id, frozenset("ab"), frozenset({"chat", "models"}), 30.5, 0, 9000
    )
    with pytest.raises(ApiError, match="this address"):
        keys.check(made.key.reveal(), "11.0.0.1")


def test_a_key_that_is_switched_off(tmp_path: Path) -> None:
    made = new_client_key("off", KeyTerms(disabled=True))
    with pytest.raises(ApiError, match="switched off"):
        _known(tmp_path / "keys.json", made.keys_file).check(made.key.reveal())


@pytest.mark.parametrize("label", ["x" * 5000, "a\x1b[2J\nb", "", "é" * 300])
def test_any_label_is_accepted_by_the_daemon(tmp_path: Path, label: str) -> None:
    made = new_client_key(label)
    assert _known(tmp_path / "keys.json", made.keys_file).check(made.key.reveal())


@pytest.mark.parametrize(
    "terms",
    [
        {"endpoints": ("chats",)}, {"models": ("",)}, {"allow": ("10.0.0.0/99",)},
        {"requests_per_minute": -1.0}, {"tokens_per_day": -1}, {"expires_unix_s": 100},
        {"expires_unix_s": 2**33, "not_before_unix_s": 2**34},
    ],
    ids=repr,
)  # fmt: skip
def test_terms_that_no_daemon_would_accept(terms: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        new_client_key("shop", KeyTerms(**terms))


def test_two_keys_are_never_the_same() -> None:
    made = [new_client_key("shop") for _ in range(50)]
    assert len({json.dumps(key.entry) for key in made}) == 50
    assert len({key.key.reveal() for key in made}) == 50
