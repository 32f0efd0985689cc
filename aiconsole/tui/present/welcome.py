"""The fleet screen where there is nothing to show: what it is for, and the next command."""

from __future__ import annotations

from aiconsole.tui.failure import Failure
from aiconsole.tui.present.line import Line, Piece, line
from aiconsole.tui.present.wrap import wrap


def welcome(inventory_read: bool, failure: Failure | None) -> tuple[Line, ...]:
    """An unreadable inventory, one that is being read, or one without hosts."""
    if failure is not None:
        return (*failure.lines(), (), line(Piece("Nothing is watched until that is fixed.", "dim")))
    if not inventory_read:
        return (line(Piece("Reading the fleet…", "dim")),)
    return (
        line(Piece("No hosts yet", "strong")),
        (),
        line("This screen shows every host on which you run inference: whether it can be reached,"),
        line("what it serves, how loaded it is, and how old each reading is."),
        (),
        line("Add the first one from a shell; Python 3 and sshd on it are enough:"),
        (),
        line("    ", Piece("aiconsole hosts add web1 root@10.0.0.5", "accent")),
        (),
        line("Or try everything on this machine:"),
        (),
        line("    ", Piece("aiconsole up", "accent")),
        (),
        line(Piece("It appears here by itself.", "dim")),
    )


def stale_fleet(failure: Failure, columns: int) -> tuple[Line, ...]:
    """Over the last good fleet: what is wrong with the newest one."""
    text = f"{failure.title}: {failure.text}" if failure.text else failure.title
    parts = wrap(f"{text} Until then the fleet is what it was.", max(10, columns - 4), "warn")
    return tuple((Piece("   " if n else " ▲ ", "warn"), *part) for n, part in enumerate(parts))


def second_host() -> tuple[Line, ...]:
    """Under the only host of a fleet: how the next one comes in."""
    return (
        line(Piece("Another host is added in a shell; Python 3 and sshd on it are enough:", "dim")),
        line("  ", Piece("aiconsole hosts add web1 root@10.0.0.5", "accent")),
    )
