"""One line on stderr that says how far long work is; nothing where no terminal is."""

from __future__ import annotations

import shutil
import sys
import time

from aiconsole.units import bytes_text, rate_text, span_text
from aiconsole.visible import visible

_EVERY_S = 0.2
_RATE_AFTER_S = 1.0
"""A rate over less would jump."""


class ProgressLine:
    """Rewritten in place; leave the context to take it away."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._open = False
        self._text = ""
        self._began_s = 0.0
        self._began_bytes = 0
        self._shown_s = 0.0

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def show(self, text: str, done_bytes: int, total_bytes: int) -> None:
        """Say what is done, how much of how much, and how long it will take."""
        now_s = time.monotonic()
        if text != self._text:
            self._text, self._began_s, self._began_bytes = text, now_s, done_bytes
        elif now_s - self._shown_s < _EVERY_S:
            return
        self._shown_s = now_s
        if not self._live:
            return
        line = f"… {visible(text)}  {self._amount(done_bytes, total_bytes, now_s)}"
        sys.stderr.write(f"\r\x1b[2K{line}"[: shutil.get_terminal_size().columns + 4])
        sys.stderr.flush()
        self._open = True

    def clear(self) -> None:
        """Take the line away, before something else is printed."""
        if self._open:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._open = False

    def _amount(self, done_bytes: int, total_bytes: int, now_s: float) -> str:
        of = f" of {bytes_text(total_bytes)}" if total_bytes else ""
        amount = f"{bytes_text(done_bytes)}{of}"
        elapsed_s = now_s - self._began_s
        moved_bytes = done_bytes - self._began_bytes
        if elapsed_s < _RATE_AFTER_S or moved_bytes <= 0:
            return amount
        rate = moved_bytes / elapsed_s
        left = f", {span_text((total_bytes - done_bytes) / rate)} left" if total_bytes else ""
        return f"{amount}, {rate_text(rate)}{left}"
