"""The keys file: what it accepts, and that a fault lets nobody in."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from aiconsole.onhost.inferd.access.grant import Grant
from aiconsole.onhost.inferd.access.keys import KeyFile
from aiconsole.onhost.inferd.errors import ApiError

KEY = "ak-one-" + "x" * 43


def _item(key: str = KEY, **more: Any) -> dict[str, object]:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"id": "one", "label": "shop", "sha256": digest, "created_unix_s": 1, **more}


def _write(path: Path, *items: object) -> Path:
    path.write_text(json.dumps({"keys": items}))
    return path


def _code(keys: KeyFile, text: str, client: str = "", status: int = 401) -> str:
    with pytest.raises(ApiError) as refused:
        keys.check(text, client)
    assert refused.value.status == status
    assert KEY not in str(refused.value)
    return refused.value.code


def test_accepts_its_key_and_no_other(tmp_path: Path) -> None:
    keys = KeyFile(_write(tmp_path / "keys.json", _item()))
    assert keys.check(KEY) == Grant(name="shop", tenant="one")
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    for text in ("", KEY + "x", KEY[:-1], KEY.upper(), digest, "ü" * 10000, "\ud800"):
        assert _code(keys, text) == "invalid_api_key"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"keys": 3}', '{"keys": [{}]}', "\xff", '{"keys": ["a"]}',
     json.dumps({"keys": [_item(sha256="AA")]}), json.dumps({"keys": [_item(label=3)]}),
     json.dumps({"keys": [_item()], "default_models": ["a"]}), "[" * 100_000],
)  # fmt: skip
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path / "keys.json", _item())
    keys = KeyFile(path)
    path.write_text(text, encoding="latin-1")
    assert _code(keys, KEY) == "keys_unavailable"
    _write(path, _item())
    assert keys.check(KEY).tenant == "one"


def test_missing_file(tmp_path: Path) -> None:
    assert _code(KeyFile(None), KEY) == "keys_unavailable"
    assert _code(KeyFile(tmp_path / "none"), KEY) == "keys_unavailable"


def test_a_file_of_the_same_size_and_time_is_seen_by_its_inode(tmp_path: Path) -> None:
    path, other = tmp_path / "keys.json", "ak-one-" + "y" * 43
    keys = KeyFile(_write(path, _item()))
    stat = path.stat()
    draft = _write(tmp_path / "draft", _item(other))
    os.utime(draft, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    draft.replace(path)
    assert _code(keys, KEY) == "invalid_api_key"
    assert keys.check(other).tenant == "one"


OTHER = "ak-two-" + "z" * 43


@pytest.mark.parametrize(
    "more",
    [
        {"modells": ["a"]}, {"models": "a"}, {"models": []}, {"models": [3]}, {"models": None},
        {"endpoints": ["chats"]}, {"endpoints": []}, {"endpoints": {}}, {"allow": ["10.0.0.0/99"]},
        {"allow": []}, {"allow": "10.0.0.1"}, {"expires_unix_s": "never"}, {"expires_unix_s": True},
        {"expires_unix_s": None}, {"not_before_unix_s": -1}, {"requests_per_minute": "60"},
        {"requests_per_minute": -1}, {"tokens_per_minute": 1.5}, {"tokens_per_day": True},
        {"disabled": "no"}, {"disabled": 0}, {"disabled": None}, {"id": "jwt:x"}, {"id": ""},
        {"label": "a\x1b[2J"}, {"label": "x" * 257}, {"sha256": "A" * 64},
    ],
    ids=repr,
)  # fmt: skip
def test_an_entry_that_is_not_understood_is_refused_alone(
    tmp_path: Path, more: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = _write(tmp_path / "keys.json", _item(**more), _item(OTHER, id="two"))
    keys = KeyFile(path)
    assert (keys.count, keys.refused) == (1, 1)
    assert _code(keys, KEY) == "invalid_api_key"
    assert keys.check(OTHER).tenant == "two"
    keys.check(OTHER)
    (line,) = caplog.messages
    assert "entry 1" in line
    assert next(iter(more)) in line
    assert hashlib.sha256(KEY.encode()).hexdigest() not in line
    assert "\x1b" not in line


def test_the_same_key_with_other_fields_is_refused(tmp_path: Path) -> None:
    """Neither the narrow one nor the wide one can be meant."""
    path = tmp_path / "keys.json"
    narrow, wide = _item(models=["a"]), _item()
    for items in ([narrow, wide], [wide, narrow], [wide, narrow, wide]):
        keys = KeyFile(_write(path, *items, _item(OTHER)))
        assert _code(keys, KEY) == "invalid_api_key"
        assert keys.check(OTHER).tenant == "one"
        assert (keys.count, keys.refused) == (1, 2)
    assert KeyFile(_write(path, wide, wide)).check(KEY).tenant == "one"


def test_fields_become_the_grant(tmp_path: Path) -> None:
    item = _item(
        models=["a", "b"], endpoints=["chat", "stream"], requests_per_minute=30,
        tokens_per_minute=1000, tokens_per_day=9000, expires_unix_s=time.time() + 3600,
        not_before_unix_s=1, disabled=False,
    )  # fmt: skip
    assert KeyFile(_write(tmp_path / "keys.json", item)).check(KEY) == Grant(
        "shop", "one", frozenset("ab"), frozenset({"chat", "stream"}), 30.0, 1000, 9000
    )


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"expires_unix_s": 100}, "expired_api_key"),
        ({"not_before_unix_s": 2**40}, "early_api_key"),
        ({"disabled": True}, "disabled_api_key"),
    ],
)
def test_a_key_that_is_not_in_force(tmp_path: Path, more: dict[str, Any], code: str) -> None:
    keys = KeyFile(_write(tmp_path / "keys.json", _item(**more)))
    assert _code(keys, KEY) == code
    assert _code(keys, KEY[:-1]) == "invalid_api_key"


def test_a_key_ends_while_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = time.time() + 1000
    keys = KeyFile(_write(tmp_path / "keys.json", _item(expires_unix_s=ends)))
    keys.check(KEY)
    monkeypatch.setattr(time, "time", lambda: ends)
    assert _code(keys, KEY) == "expired_api_key"


def test_addresses_of_a_key(tmp_path: Path) -> None:
    item = _item(allow=["10.0.0.0/8", "2001:db8::1"])
    keys = KeyFile(_write(tmp_path / "keys.json", item))
    for good in ("10.1.2.3", "2001:db8::1", "::ffff:10.9.9.9"):
        assert keys.check(KEY, good).tenant == "one"
    for bad in ("11.0.0.1", "2001:db8::2", "", "10.0.0.999"):
        assert _code(keys, KEY, bad, 403) == "address_not_allowed"


def test_a_key_is_found_by_its_digest_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every text costs the same: one digest, one look into a table, one comparison of digests."""
    keys = KeyFile(_write(tmp_path / "keys.json", _item(), _item(OTHER)))
    looked_up: list[str] = []

    class Table(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            looked_up.append(key)
            return super().get(key, default)

        def __iter__(self) -> Any:
            raise AssertionError("keys are compared one after the other")

    monkeypatch.setattr(keys, "refresh", lambda: None)
    monkeypatch.setattr(keys, "_keys", Table(keys._keys))
    texts = [KEY, "y" + KEY[1:], KEY[:-1] + "y", "", "y" * 500]
    for text in texts:
        with contextlib.suppress(ApiError):
            keys.check(text)
    assert looked_up == [hashlib.sha256(text.encode()).hexdigest() for text in texts]
