"""A screen as SVG, and as PNG where librsvg is at hand."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from aiconsole.tui.app import ConsoleApp

CELL = 12.2
"""Width of one column in the SVG that Rich writes."""
_TEXT = re.compile(r"<text((?: [^>]*)?clip-path[^>]*)>([^<]*)</text>")
_CELLS = re.compile(r"&#?\w+;|.")
_BLANK = "&#160;"


def take(app: ConsoleApp, name: str, folder: Path) -> Path:
    """Write what is on the screen now; returns the SVG."""
    svg = folder / f"{name}.svg"
    svg.write_text(placed(app.export_screenshot(title="aiconsole")))
    if program := shutil.which("rsvg-convert"):
        subprocess.run([program, str(svg), "-o", str(svg.with_suffix(".png"))], check=True)
    return svg


def placed(svg: str) -> str:
    """Give each word its own place, so that no font can push what stands after it.

    Renderers drop leading blanks and take braille from wider fonts.
    """
    return _TEXT.sub(lambda match: _words(match[1], _CELLS.findall(match[2])), svg)


def _words(attributes: str, cells: list[str]) -> str:
    found = re.search(r'x="([\d.]+)"', attributes)
    assert found is not None
    start = float(found[1])
    out: list[str] = []
    word: list[str] = []
    for column, cell in enumerate([*cells, _BLANK]):
        single = len(cell) == 1 and 0x2800 <= ord(cell) <= 0x28FF
        if word and (cell == _BLANK or single):
            out.append(_text(attributes, start + CELL * (column - len(word)), word))
            word = []
        if single:
            out.append(_text(attributes, start + CELL * column, [cell]))
        elif cell != _BLANK:
            word.append(cell)
    return "".join(out)


def _text(attributes: str, x: float, word: list[str]) -> str:
    moved = re.sub(r'x="[\d.]+"', f'x="{x:.1f}"', attributes, count=1)
    sized = re.sub(r'textLength="[\d.]+"', f'textLength="{CELL * len(word):.1f}"', moved)
    return f"<text{sized}>{''.join(word)}</text>"
