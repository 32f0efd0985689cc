"""For terminals without UTF-8: each drawn character becomes one of ASCII, at the last moment."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

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


class AsciiFilter(LineFilter):
    """Runs over every line of the whole screen, so that no widget has to think of it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Translate the text of each segment, and of each control none."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
