"""The tool's side of the conversation: JSON lines out, lines and bytes in."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any, BinaryIO

from aiconsole.onhost.runner.faults import Fault
from aiconsole.onhost.wire import to_json

_LONGEST_LINE_BYTES = 16 * 1024 * 1024
_one_at_a_time = threading.Lock()


def emit(value: Any) -> None:
    """Write one line; it leaves at once.

    Raises:
        BrokenPipeError: Nobody listens any more.
    """
    line = memoryview(json.dumps(to_json(value), separators=(",", ":")).encode() + b"\n")
    with _one_at_a_time:
        while line:
            line = line[os.write(sys.stdout.fileno(), line) :]


def read_request() -> bytes:
    """The first line of stdin, which says what the verb is to do.

    Raises:
        Fault: stdin ended before the line did.
    """
    line = stdin().readline(_LONGEST_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise Fault("cut", "the connection ended before the request was whole")
    return line


def stdin() -> BinaryIO:
    """The bytes that follow."""
    return sys.stdin.buffer
