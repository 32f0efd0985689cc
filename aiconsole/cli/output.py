"""What the commands print: errors in three parts, JSON, tables of plain text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from aiconsole.errors import AiconsoleError
from aiconsole.visible import visible, visible_lines


def print_error(error: AiconsoleError, *, as_json: bool) -> None:
    """Print an error: its title, what was seen, what to do next.

    For people it goes to stderr; as JSON it goes to stdout, where the caller reads the rest.
    """
    if as_json:
        print_json(error.as_json())
        return
    print(f"aiconsole: {visible(error.title)}", file=sys.stderr)
    for line in visible_lines(error.detail):
        print(f"  {line}", file=sys.stderr)
    for line in visible_lines(error.hint):
        print(f"  → {line}", file=sys.stderr)


def print_json(document: Any) -> None:
    """Print one JSON document on one line; escapes keep control characters out of it."""
    print(json.dumps(document, ensure_ascii=True), flush=True)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns that are as wide as their widest cell; text is made visible.

    The last cell of a row that is shorter than the head reaches over the columns it leaves out.
    """
    lines = [[visible(cell) for cell in row] for row in (head, *rows)]
    widths = [
        max(len(line[column]) for line in lines if _has_column(line, column, len(head)))
        for column in range(len(head))
    ]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=False))
        print("  ".join(cells).rstrip())


def _has_column(line: Sequence[str], column: int, columns: int) -> bool:
    """True where the cell stands in this column alone."""
    return len(line) == columns or column < len(line) - 1


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print one `name  value` line each, values aligned."""
    pairs = [(name, visible(value)) for name, value in fields]
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        print(f"{name.ljust(width)}  {value}".rstrip())
