"""Where a key of a TOML file stands: parsers tell what a file holds, and not on which line."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*="""
)


def line_of(text: str, keys: Sequence[str]) -> int:
    """Line of a key, or of the nearest table around it that is there; 0 if none is.

    Args:
        text: The file.
        keys: The way to it; an element of an array is its number from 0, `engine.remotes.1.url`.
    """
    wanted, best, best_depth = list(keys), 0, 0
    table: list[str] = []
    counts: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _opened(_parts(header[2]), counts, new=header[1] == "[[")
            here = table
        elif key := _KEY.match(line):
            here = [*table, *_parts(key[1])]
        else:
            continue
        if len(here) > best_depth and here == wanted[: len(here)]:
            best, best_depth = number, len(here)
    return best


def _opened(parts: list[str], counts: dict[tuple[str, ...], int], *, new: bool) -> list[str]:
    """The way to a table: a name of an array on it stands for the array's last element so far."""
    here: list[str] = []
    for depth, part in enumerate(parts, 1):
        here.append(part)
        way = tuple(here)
        if new and depth == len(parts):
            counts[way] = counts.get(way, -1) + 1
        if way in counts:
            here.append(str(counts[way]))
    return here


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]
