"""`python -m aiconsole.onhost.probe --interval 1.0 --layout JSON`: a frame a tick on stdout.

It ends when stdin does: the channel to the console is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from contextlib import suppress

from aiconsole.onhost.probe.deployed import layouts_of
from aiconsole.onhost.probe.tick import Ticker
from aiconsole.onhost.wire import HostLayout, WireError, frame_line, from_json

_SETTLE_SHARE = 0.25
"""Part of a tick between the readings and the frame, so that a frame has those of its own tick."""


def main(argv: list[str] | None = None) -> int:
    """Emit frames until stdin ends or stdout breaks."""
    options = _options(argv)
    layouts = [options.layout] if options.layout else layouts_of(options.runtime)
    with (
        Ticker(layouts, options.interval) as ticker,
        suppress(BrokenPipeError, KeyboardInterrupt),
    ):
        _emit(ticker, options.interval, options.count)
    return 0


def _emit(ticker: Ticker, interval_s: float, count: int) -> None:
    due_s = time.monotonic() + min(0.25, interval_s * _SETTLE_SHARE)
    sent = 0
    while not _stdin_ended(due_s):
        _write_all(frame_line(ticker.frame()))
        sent += 1
        if sent == count:
            return
        # A tick that was missed is skipped: two frames at once would say no more than one.
        due_s = max(due_s + interval_s, time.monotonic())


def _stdin_ended(due_s: float) -> bool:
    """Wait for the tick; True where stdin ended meanwhile."""
    while (left_s := due_s - time.monotonic()) > 0:
        readable, _, _ = select.select([0], [], [], left_s)
        if readable and not os.read(0, 4096):
            return True
    return False


def _write_all(line: bytes) -> None:
    while line:
        line = line[os.write(1, line) :]


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="probe", description="One frame a tick on stdout.")
    parser.add_argument("--interval", type=_interval, default=1.0, metavar="SECONDS")
    parser.add_argument("--layout", type=_layout, metavar="JSON", help="overrides --runtime")
    parser.add_argument("--runtime", choices=("auto", "systemd", "keeper"), default="auto")
    parser.add_argument("--count", type=int, default=0, help="end after so many frames")
    return parser.parse_args(argv)


def _interval(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("between 0.1 and 3600 seconds")
    return seconds


def _layout(text: str) -> HostLayout:
    try:
        return from_json(HostLayout, json.loads(text))
    except WireError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run() -> None:
    """Run and leave at once: a thread that hangs in the kernel may not hold the process."""
    status = main()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
