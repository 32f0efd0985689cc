"""What ends a verb early: a code for the console, a line and a hint for the operator."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Literal, TypeAlias

from aiconsole.onhost.wire import WireError

FaultCode: TypeAlias = Literal[
    "disk-full", "read-only", "denied", "digest-mismatch", "wire-version", "bad-plan", "busy",
    "not-found", "no-runtime", "cut", "internal",
]  # fmt: skip

_BY_ERRNO: dict[int, tuple[FaultCode, str]] = {
    errno.ENOSPC: ("disk-full", "Free space there, or move the directory to a larger disk."),
    errno.EDQUOT: ("disk-full", "The user's disk quota is used up: raise it or free space."),
    errno.EROFS: ("read-only", "Remount the filesystem writable, and look into why it is not."),
    errno.EACCES: ("denied", "Connect as root or with sudo."),
    errno.EPERM: ("denied", "Connect as root or with sudo."),
}


class Fault(Exception):  # noqa: N818 - the word of the protocol
    """A verb cannot go on; `main` prints it as the last line.

    Attributes:
        code: What the console tells apart.
        text: What was seen, for the operator.
        hint: What to do next; may be empty.
        data: Further keys of the fault's object, such as who holds the lock.
    """

    def __init__(
        self, code: FaultCode, text: str, hint: str = "", data: dict[str, object] | None = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.hint = hint
        self.data = data or {}

    def as_json(self) -> dict[str, object]:
        """The line that ends the output."""
        return {"fault": {"code": self.code, "text": self.text, "hint": self.hint, **self.data}}


def fault_of(error: BaseException) -> Fault:
    """Tell any exception as a fault; an unexpected one by its type and place, without values."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, WireError):
        return Fault("bad-plan", str(error))
    if isinstance(error, OSError) and error.errno is not None:
        code, hint = _BY_ERRNO.get(error.errno, ("internal", ""))
        return Fault(code, text_of(error), hint)
    return Fault("internal", text_of(error))


def text_of(error: BaseException) -> str:
    """One line about an exception; of an unexpected one without values, which may be secret."""
    if isinstance(error, OSError) and error.errno is not None:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}"
    return f"unexpected {type(error).__name__}{_place(error)}"


def _place(error: BaseException) -> str:
    """Where it was raised: file and line of the innermost frame."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
