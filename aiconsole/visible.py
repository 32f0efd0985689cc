"""Make text from a host harmless: what could command a terminal becomes something to read."""

from __future__ import annotations

import unicodedata

_TAB_COLUMNS = 8
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that draw nothing, steer the terminal, or turn the reading direction."""


def visible(text: str) -> str:
    r"""Spell out control, format and unassigned characters: ESC becomes `\x1b`.

    The result is one line, and passing it through again changes nothing. Letters of every
    language stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(_spell(char) for char in text)


def visible_lines(text: str) -> tuple[str, ...]:
    r"""Split at line ends, widen tabs, and make each line visible."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return tuple(visible(line.expandtabs(_TAB_COLUMNS)) for line in lines)


def _spell(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN:
        return char
    if char in "\n\r\t":
        return {"\n": r"\n", "\r": r"\r", "\t": r"\t"}[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
