"""Terminals without UTF-8: which they are, and what stands there for each drawn character."""

from __future__ import annotations

import os
from collections.abc import Mapping

_TABLE = str.maketrans(
    {
        **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╞╡╪┏┓┗┛", "+"),
        **dict.fromkeys("─━═╌╴╶▔▁", "-"),
        **dict.fromkeys("│┃║▏▕╎▌▐▍▎", "|"),
        **dict(zip("▂▃▄▅▆▇█", ".:=+*%#", strict=True)),
        **dict(zip("●◌◐✗▲■◆✓▶▸…·↵↑↓→←—µ▼▾▴¹²³", "*o~x^#+v>>..<^v><-uvv^123", strict=True)),
        **dict(zip("⁴⁵⁶⁷⁸⁹⁰↺“”–×•°≤≥", '4567890<""-x*o<>', strict=True)),
        "\u00a0": " ",
        **{chr(0x2800 + bits): " .:-=+*#@"[bits.bit_count()] for bits in range(256)},
    }
)  # fmt: skip


def to_ascii(text: str) -> str:
    """The text in ASCII, as wide as before; a letter that has no stand-in becomes `?`."""
    if text.isascii():
        return text
    return text.translate(_TABLE).encode("ascii", "replace").decode("ascii")


def speaks_unicode(environ: Mapping[str, str] = os.environ) -> bool:
    """False on the kernel's own console, and where the locale is not UTF-8, as with `LANG=C`."""
    if environ.get("TERM") == "linux":
        return False
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if value := environ.get(name):
            return "utf" in value.lower()
    return True
