"""What the operator reads where aiconsole itself made a mistake.

The text of an unexpected exception may hold whatever it was about, a password too. So it is
named by its type and place alone, and a traceback has neither values nor messages.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from aiconsole import __version__
from aiconsole.cli.output import print_error
from aiconsole.errors import AiconsoleError

DEBUG = "AICONSOLE_DEBUG"
"""Set to 1, a mistake is told with its traceback."""

_ROOM = Path(__file__).parents[1]


def tell_mistake(error: Exception, *, as_json: bool) -> None:
    """Say in one line that this should not happen and how to report it."""
    debugging = is_debugging()
    if debugging:
        sys.stderr.write("".join(traceback_lines(error)))
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" at {_short(last[0].filename)}:{last[0].lineno}" if last else ""
    print_error(
        AiconsoleError(
            "This is a mistake of aiconsole itself",
            f"{type(error).__name__}{place}, aiconsole {__version__}",
            "Please report that line"
            + ("." if debugging else f"; the same command with {DEBUG}=1 says more."),
        ),
        as_json=as_json,
    )


def traceback_lines(error: BaseException) -> Iterator[str]:
    """The frames of an exception and of those behind it, without their messages."""
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if behind is not None:
        yield from traceback_lines(behind)
        yield "and then\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__name__}\n"


def quiet_libraries() -> None:
    """Keep what libraries log off the operator's screen, where it would show foreign text."""
    if not is_debugging():
        logging.getLogger().addHandler(logging.NullHandler())


def is_debugging() -> bool:
    """True where the operator asked for tracebacks."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def _short(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(_ROOM)) if path.is_relative_to(_ROOM) else path.name
