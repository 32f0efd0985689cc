"""Kept answers as bytes: whole and ours, or nothing."""

from __future__ import annotations

import os

from aiconsole.onhost.inferd.cache.entry import Entry, unpack

KEY = os.urandom(32)
ENTRY = Entry(b'{"choices":[]}', 7, 2**33, "tool_calls")


def test_there_and_back() -> None:
    assert unpack(KEY, ENTRY.pack(KEY)) == ENTRY
    empty = Entry(b"", 0, 0, "")
    assert unpack(KEY, empty.pack(KEY)) == empty


def test_a_single_changed_byte_anywhere_is_seen() -> None:
    good = ENTRY.pack(KEY)
    for place in range(len(good)):
        bad = good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :]
        assert unpack(KEY, bad) is None


def test_every_shorter_piece_is_seen() -> None:
    good = ENTRY.pack(KEY)
    assert all(unpack(KEY, good[:size]) is None for size in range(len(good)))
    assert unpack(KEY, good + b"\0") is None


def test_an_answer_to_another_question_is_none() -> None:
    assert unpack(os.urandom(32), ENTRY.pack(KEY)) is None
