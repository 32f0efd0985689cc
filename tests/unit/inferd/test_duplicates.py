"""Keys that come twice, in every spelling."""

from __future__ import annotations

import json

import orjson
import pytest

from aiconsole.onhost.inferd.request.duplicates import has_duplicates

LONG = b'"x": "' + b"y" * 70_000 + b'"'


def _twice(data: bytes) -> bool:
    return has_duplicates(data, list(orjson.loads(data)))


@pytest.mark.parametrize(
    "data",
    [b'{"model": "a", "model": "b"}', b'{"model":1,"n":2,"model":1}',
     b'{"model": "a", "mod\\u0065l": "b"}', b'{"\\u006dodel": "a", "model": "b"}',
     b'{"\\u0061": 1, "\\u0061": 2}', b' \n{ "a" : {} ,\t"a" : [] } ',
     b'{"model": 1, ' + LONG + b', "model": 2}', b'{"": 1, "": 2}'],
)  # fmt: skip
def test_twice(data: bytes) -> None:
    assert _twice(data)


@pytest.mark.parametrize(
    "data",
    [b"{}", b' { } ', b'{"model": "a"}', b'{"role": "role", "x": {"role": [{"role": 1}]}}',
     b'{"prompt": "say \\"model\\": 3", "model": "prompt"}', b'{"model": "\\u0061"}',
     b'{"a": "}", "b": ",\\"a\\":1", "c\\u0064": [[{}], {"a": {"b": null}}], "d": -1.5e3}',
     b'{"model": 1, ' + LONG + b', "z": {"model": 2}}', json.dumps({"\u00e4": "\u00e4"}).encode()],
)  # fmt: skip
def test_once(data: bytes) -> None:
    assert not _twice(data)


def test_many_keys() -> None:
    keys = [b'"k%d": %d' % (number, number) for number in range(5000)]
    assert not _twice(b"{" + b",".join(keys) + b"}")
    assert _twice(b"{" + b",".join([*keys, keys[7]]) + b"}")


def test_too_deep_to_tell() -> None:
    deep = b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b', "\\u0062": 1}'
    with pytest.raises(RecursionError):
        _twice(deep)
