"""The keys file: what it accepts, and that a fault lets nobody in."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from aiconsole.onhost.inferd.access.keys import KeyFile
from aiconsole.onhost.inferd.errors import ApiError

KEY = "ak-one-" + "x" * 43


def _item(key: str = KEY, **more: object) -> dict[str, object]:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return {"id": "one", "label": "shop", "sha256": digest, "created_unix_s": 1, **more}


def _write(path: Path, *items: object) -> Path:
    path.write_text(json.dumps({"keys": items}))
    return path


def _code(keys: KeyFile, header: str) -> str:
    with pytest.raises(ApiError) as refused:
        keys.check(header)
    assert refused.value.status == 401
    assert KEY not in str(refused.value)
    return refused.value.code


def test_accepts_its_key_and_no_other(tmp_path: Path) -> None:
    keys = KeyFile(_write(tmp_path / "keys.json", _item()))
    assert keys.check(f"Bearer {KEY}").label == "shop"
    assert keys.check(f"bearer  {KEY} ").label == "shop"
    assert _code(keys, f"Bearer {KEY}x") == "invalid_api_key"
    assert _code(keys, "Bearer " + "ü" * 10000) == "invalid_api_key"
    for header in ("", "Bearer", "Bearer ", f"Basic {KEY}", KEY):
        assert _code(keys, header) == "missing_api_key"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"keys": 3}', '{"keys": [{}]}', "\xff", '{"keys": ["a"]}',
     json.dumps({"keys": [_item(sha256="AA")]}), json.dumps({"keys": [_item(label=3)]})],
)  # fmt: skip
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path / "keys.json", _item())
    keys = KeyFile(path)
    path.write_text(text, encoding="latin-1")
    assert _code(keys, f"Bearer {KEY}") == "keys_unavailable"
    _write(path, _item())
    assert keys.check(f"Bearer {KEY}").id == "one"


def test_missing_file(tmp_path: Path) -> None:
    assert _code(KeyFile(None), f"Bearer {KEY}") == "keys_unavailable"
    assert _code(KeyFile(tmp_path / "none"), f"Bearer {KEY}") == "keys_unavailable"


def test_a_file_of_the_same_size_and_time_is_seen_by_its_inode(tmp_path: Path) -> None:
    path, other = tmp_path / "keys.json", "ak-one-" + "y" * 43
    keys = KeyFile(_write(path, _item()))
    stat = path.stat()
    draft = _write(tmp_path / "draft", _item(other))
    os.utime(draft, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    draft.replace(path)
    assert _code(keys, f"Bearer {KEY}") == "invalid_api_key"
    assert keys.check(f"Bearer {other}").id == "one"
