"""What stands above a line that is being typed: what was wrong, how it is typed, how it goes on."""

from __future__ import annotations

from collections.abc import Sequence

from aiconsole.tui.present.line import Line, Piece, columns_of, line
from aiconsole.tui.present.wrap import wrap

_MAX_REFUSAL_LINES = 4


def refusal_lines(refusal: str, columns: int) -> tuple[Line, ...]:
    """Why the line was not carried out."""
    if not refusal:
        return ()
    parts = wrap(refusal, max(10, columns - 4))[:_MAX_REFUSAL_LINES]
    return tuple(
        (Piece("   " if number else " ▲ ", "warn"), *part) for number, part in enumerate(parts)
    )


def usage_lines(usage: str, options: str, tooltip: str, columns: int) -> tuple[Line, ...]:
    """How a command is typed, and what it does where there is room for that."""
    head = line(" ", Piece(usage, "strong"))
    if columns_of(head) + len(tooltip) + 3 <= columns:
        head = (*head, Piece(f"  {tooltip}", "dim"))
    rest = wrap(options, max(10, columns - 4), "dim") if options else ()
    return (head, *((Piece("   "), *part) for part in rest))


def candidate_line(words: Sequence[str], chosen: int, columns: int) -> Line:
    """Whole words only, from a few before the chosen one on; what is left out is counted."""
    first = max(0, chosen - 2)
    pieces: list[Piece] = [Piece(f" {first} before … " if first else " ")]
    for number, word in enumerate(words[first:], first):
        piece = Piece(word, "accent" if number == chosen else "dim")
        left = len(words) - number - 1
        more = f"… {left} more" if left else ""
        if columns_of(pieces) + piece.columns + 2 + len(more) > columns and number > first:
            pieces.append(Piece(f"… {left + 1} more", "dim"))
            break
        pieces += [piece, Piece("  ")]
    return tuple(pieces)
