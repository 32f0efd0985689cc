from __future__ import annotations

import pytest

from aiconsole.visible import visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, Grüße, 日本語, ✓", "plain text, Grüße, 日本語, ✓"),
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("a\nb\tc\rd\0", r"a\nb\tc\rd\x00"),
        ("user\u202egnp.exe", r"user\u202egnp.exe"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("\U000e0041tag", r"\U000e0041tag"),
        ("\udc80", r"\udc80"),
        ("line\u2028sep", r"line\u2028sep"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_what_could_steer_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(visible(text)) == shown


def test_lines_are_split_and_tabs_widened() -> None:
    assert visible_lines("a\tb\r\n\x1b[mc\n") == ("a       b", r"\x1b[mc")
    assert visible_lines("") == ()
