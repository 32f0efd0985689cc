"""What the tool's faults mean on the console: each becomes the error that fits it."""

from __future__ import annotations

from typing import Any

from aiconsole.errors import (
    AiconsoleError,
    BusyError,
    CommandError,
    NotFoundError,
    PreflightError,
    TransferError,
)
from aiconsole.session.command import Completed
from aiconsole.units import UNKNOWN, moment_text
from aiconsole.visible import visible

_TITLES: dict[str, tuple[type[AiconsoleError], str]] = {
    "disk-full": (TransferError, "The disk of {host} is full"),
    "read-only": (TransferError, "A filesystem of {host} is read-only"),
    "digest-mismatch": (TransferError, "What arrived on {host} is not what was sent"),
    "cut": (TransferError, "The transfer to {host} was cut"),
    "denied": (CommandError, "{host} refuses: permission denied"),
    "wire-version": (CommandError, "{host} speaks another version than this console"),
    "bad-plan": (CommandError, "{host} does not accept the request"),
    "not-found": (NotFoundError, "Not found on {host}"),
    "no-runtime": (CommandError, "Nothing on {host} can execute a run"),
    "python-too-old": (PreflightError, "The Python of {host} is too old"),
    "internal": (CommandError, "The tool failed on {host}"),
}


def error_of_fault(fault: Any, host: str) -> AiconsoleError:
    """The error that a fault's object stands for; text of the host is made harmless."""
    given = fault if isinstance(fault, dict) else {}
    code, text, hint = (visible(str(given.get(key, ""))) for key in ("code", "text", "hint"))
    if code == "busy":
        return _busy(given, host, text, hint)
    if code == "not-found":
        hint = hint or f"aiconsole runs list {host}"
    shape, title = _TITLES.get(code, _TITLES["internal"])
    return shape(title.format(host=host), text, hint)


def _busy(fault: dict[str, Any], host: str, text: str, hint: str) -> BusyError:
    """Who is at work, and for how long."""
    since = moment_text(fault.get("since_unix_s"), "%H:%M:%S")
    if since != UNKNOWN:
        text += f", since {since}"
    run_id = visible(str(fault.get("run_id", "")))
    if run_id:
        hint = f"Watch it: aiconsole runs attach {host} {run_id}"
    return BusyError(f"{host} is busy", text, hint, run_id)


def error_of_end(done: Completed, host: str) -> AiconsoleError:
    """The error of a tool that ended without a word of its own: not started, or killed."""
    said = visible(" ".join(done.stderr.decode(errors="replace").split())[-600:])
    python = done.command.argv[0]
    missing = "not found" in said or "No such file" in said
    if done.exit_status == 127 or (missing and python.rsplit("/", 1)[-1] in said):
        return PreflightError(
            f"{host} has no {python}",
            said,
            "Install it (`apt-get install python3`), or name another one for this host.",
        )
    return CommandError(
        f"The tool on {host} ended with exit status {done.exit_status}",
        said or "it said nothing",
        "Run it again; a host that is short of memory kills programs.",
    )
