"""A line of a probe becomes a frame that is safe to show."""

from __future__ import annotations

from typing import Any

from aiconsole.onhost.wire import Frame, from_json, read_frame, to_json
from aiconsole.visible import visible


def take_in(line: bytes) -> Frame:
    """Read a line; what could command a terminal in its texts is made visible.

    Raises:
        WireError: It is no frame.
    """
    frame = read_frame(line)
    # Without an escape and beyond ASCII nothing of that kind can be in it: the usual case.
    if b"\\" not in line and line.isascii():
        return frame
    return from_json(Frame, _visible(to_json(frame)))


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_visible(item) for item in value]
    if isinstance(value, dict):
        return {visible(key): _visible(item) for key, item in value.items()}
    return value
