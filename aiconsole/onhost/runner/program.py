"""Runs a program on the host to its end, within a time limit and cancellable."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiconsole.onhost.runner.cancel import NEVER, Cancel, Cancelled

KEPT_BYTES = 256 * 1024
"""Of each stream, the end is kept."""


class ProgramTimeout(Exception):  # noqa: N818 - named after what is seen
    """The program did not end in time and was killed."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What an ended program left behind."""

    argv: tuple[str, ...]
    exit_status: int
    """128 + N where signal N killed it; 127 where the program does not exist."""
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """True where it exited with 0."""
        return self.exit_status == 0

    def last_lines(self, count: int = 20) -> list[str]:
        """The end of what it wrote, stderr after stdout."""
        return [*self.stdout.splitlines(), *self.stderr.splitlines()][-count:]


def run_program(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout_s: float = 30.0,
    cancel: Cancel = NEVER,
) -> Finished:
    """Run `argv` without a shell, in a process group of its own, and collect its output.

    Raises:
        ProgramTimeout: It did not end within `timeout_s`; its process group was killed.
        Cancelled: The run was cancelled; its process group was killed.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        return Finished(tuple(argv), 127, "", f"{argv[0]}: {error.strerror}")
    try:
        with process:
            out, err = _talk(process, stdin, time.monotonic() + timeout_s, cancel)
    except TimeoutError:
        raise ProgramTimeout(f"{argv[0]} did not end within {timeout_s:g} s") from None
    status = process.returncode
    return Finished(tuple(argv), status if status >= 0 else 128 - status, out, err)


def _talk(
    process: subprocess.Popen[bytes], stdin: bytes, deadline: float, cancel: Cancel
) -> tuple[str, str]:
    """Feed and drain the program to its end; kill its group where that must not be awaited."""
    kept: dict[int, bytearray] = {}
    rest = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        selector.register(cancel.fileno(), selectors.EVENT_READ)
        if process.stdin:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            kept[stream.fileno()] = bytearray()
            selector.register(stream, selectors.EVENT_READ)
        while kept.keys() & {key.fd for key in selector.get_map().values()}:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready or cancel.requested:
                _kill_group(process)
                if cancel.requested:
                    raise Cancelled
                raise TimeoutError
            for key, _ in ready:
                if process.stdin and key.fileobj is process.stdin:
                    rest = _feed(process, selector, rest)
                elif key.fd in kept:
                    _drain(selector, key, kept[key.fd])
    _await_end(process, deadline, cancel)
    out, err = (bytes(part).decode("utf-8", "replace") for part in kept.values())
    return out, err


def _feed(
    process: subprocess.Popen[bytes], selector: selectors.BaseSelector, rest: memoryview
) -> memoryview:
    assert process.stdin is not None
    try:
        rest = rest[os.write(process.stdin.fileno(), rest[:65536]) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        rest = rest[:0]
    if not rest:
        selector.unregister(process.stdin)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    return rest


def _drain(selector: selectors.BaseSelector, key: selectors.SelectorKey, kept: bytearray) -> None:
    chunk = os.read(key.fd, 65536)
    if not chunk:
        selector.unregister(key.fileobj)
    kept += chunk
    del kept[:-KEPT_BYTES]


def _await_end(process: subprocess.Popen[bytes], deadline: float, cancel: Cancel) -> None:
    """A program may close its output and go on."""
    while process.poll() is None:
        if cancel.wait(0.02) or time.monotonic() > deadline:
            _kill_group(process)
            if cancel.requested:
                raise Cancelled
            raise TimeoutError


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
