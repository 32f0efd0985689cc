"""The tool's verbs: JSON lines in and out, a fault as the last line; see docs/ARCHITECTURE.md."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from aiconsole.onhost.runner.faults import Fault, fault_of
from aiconsole.onhost.runner.lines import emit, read_request
from aiconsole.onhost.runner.validate import read_layout, read_line, read_plan

_FAULT_EXIT = 3
_NOBODY_LISTENS_EXIT = 141
"""As a shell tells a program that SIGPIPE ended."""


def main(argv: list[str]) -> int:
    """Run one verb; returns the exit status: 0, or 3 after a fault."""
    os.umask(0o022)
    try:
        return _verb(argv)
    except BrokenPipeError:
        # The console went away. Keep Python from trying to flush the dead stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _NOBODY_LISTENS_EXIT
    # The edge of the tool: an operator gets one line, never a traceback.
    except Exception as error:  # noqa: BLE001
        return _end_with(fault_of(error))


def _end_with(fault: Fault) -> int:
    try:
        emit(fault.as_json())
    except BrokenPipeError:
        return _NOBODY_LISTENS_EXIT
    return _FAULT_EXIT


def _verb(argv: list[str]) -> int:
    name, *arguments = argv or [""]
    known = VERBS.get(name)
    if known is None:
        raise Fault("internal", f"the tool has no verb {name!r}; it has {', '.join(VERBS)}")
    count, verb = known
    if len(arguments) != count:
        raise Fault("internal", f"{name} takes {count} arguments, {len(arguments)} were given")
    return verb(*arguments) or 0


def _check() -> None:
    from aiconsole.onhost.runner.check import check

    emit(check(read_plan(read_line(read_request(), "the plan"))))


def _receive() -> None:
    from aiconsole.onhost.runner.receive import receive

    receive()


def _start() -> None:
    from aiconsole.onhost.runner.start import start

    # What is begun here must reach the runner, with or without the connection.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    start()


def _follow(run_id: str, seq: str, layout: str) -> None:
    from aiconsole.onhost.runner.archive import stored_tool
    from aiconsole.onhost.runner.follow import follow
    from aiconsole.onhost.runner.record import find

    place = read_layout(layout)
    record = find(place, run_id)
    if not seq.isdecimal():
        raise Fault("internal", f"SEQ is not a number: {seq!r}")
    follow(record, int(seq), stored_tool(place))


def _cancel(run_id: str, layout: str) -> None:
    from aiconsole.onhost.runner.cancelling import cancel
    from aiconsole.onhost.runner.record import find

    cancel(find(read_layout(layout), run_id))
    emit({"cancelled": run_id})


def _runs(layout: str) -> None:
    from aiconsole.onhost.runner.record import all_records

    for record in all_records(read_layout(layout)):
        emit(record.summary())


def _status(layout: str) -> None:
    from aiconsole.onhost.runner.status import status

    emit(status(read_layout(layout)))


def _logs(layout: str, slot: str, lines: str) -> None:
    from aiconsole.onhost.runner import runtimes

    if slot not in ("a", "b") or not lines.isdecimal():
        raise Fault(
            "not-found", f"there is no slot {slot!r}, or {lines!r} is not a number of lines"
        )
    for line in runtimes.of(read_layout(layout)).logs(slot, int(lines)):
        emit({"log": line})


def _run(run_dir: str) -> int:
    from aiconsole.onhost.runner.archive import running_archive
    from aiconsole.onhost.runner.execute import execute
    from aiconsole.onhost.runner.lock import LockHeld

    try:
        outcome = execute(Path(run_dir), str(running_archive()))
    except LockHeld as error:
        raise Fault("busy", f"{error.holder.run_id} holds the lock") from None
    return 0 if outcome in ("done", "unchanged", None) else 1


def _settle(run_dir: str) -> None:
    from aiconsole.onhost.runner.archive import running_archive
    from aiconsole.onhost.runner.lock import LockHeld
    from aiconsole.onhost.runner.settle import settle

    try:
        settle(Path(run_dir), str(running_archive()))
    except LockHeld as error:
        raise Fault("busy", f"{error.holder.run_id} holds the lock") from None


def _keeper(layout: str) -> int:
    from aiconsole.onhost.keeper import serve
    from aiconsole.onhost.runner.archive import running_archive

    return serve(read_layout(layout), str(running_archive()))


VERBS: dict[str, tuple[int, Callable[..., int | None]]] = {
    "check": (0, _check),
    "receive": (0, _receive),
    "start": (0, _start),
    "follow": (3, _follow),
    "cancel": (2, _cancel),
    "runs": (1, _runs),
    "status": (1, _status),
    "logs": (3, _logs),
    "run": (1, _run),
    "settle": (1, _settle),
    "keeper": (1, _keeper),
}
"""Each verb with its number of arguments. Its rooms are loaded only when it is called."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
