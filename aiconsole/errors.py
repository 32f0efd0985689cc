"""Every error that an operator can meet, with a title, what happened, and what to do next.

AiconsoleError
├── SettingsError            a file that a person edits is wrong (file, line, expected)
├── RefusedError             the operator or a rule said no; exit code 1
│   ├── NotConfirmedError    a question was answered with no, or nobody could be asked
│   ├── PreflightError       a host does not fulfil what the plan needs
│   └── BusyError            another run holds the lock
├── HostError                a host could not be used
│   ├── UnknownHostError     no such name in the fleet nor in ssh_config
│   ├── UnreachableError     refused, timed out, no route, name not found
│   ├── HostKeyError         unknown or changed host key
│   ├── LoginError           key, password or passphrase not accepted
│   ├── SudoError            sudo refused
│   └── LinkLostError        the link died: the result on the host is unknown
├── CommandError             a command on a host exited with an error
├── NotFoundError            no such run, release or model on the host
├── BundleError              layers could not be built
├── ModelError               a model file cannot be served
├── TransferError            an upload failed on the host's side
└── RunError                 a run failed and undid itself; exit code 2
"""

from __future__ import annotations

from typing import ClassVar


class AiconsoleError(Exception):
    """Base of all errors that are shown to the operator.

    Attributes:
        title: One line in plain words, no trailing full stop.
        detail: What was seen, with names and numbers.
        hint: What to do next; a command where there is one.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, title: str, detail: str = "", hint: str = "") -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        return ": ".join(part for part in (self.title, self.detail) if part)

    def as_json(self) -> dict[str, str]:
        """The error as it appears under `error` in `--json` output."""
        return {
            "error": type(self).__name__,
            "title": self.title,
            "detail": self.detail,
            "hint": self.hint,
        }


class SettingsError(AiconsoleError):
    """A file that a person edits is wrong; the detail names file, line and what was expected."""


class RefusedError(AiconsoleError):
    """Nothing was changed because a person or a rule said no."""

    exit_code: ClassVar[int] = 1


class NotConfirmedError(RefusedError):
    """A question was answered with no, or could not be asked."""


class PreflightError(RefusedError):
    """A host does not fulfil what the plan needs; nothing was changed."""


class BusyError(RefusedError):
    """Another run holds the lock on the host; the detail says who and since when."""

    def __init__(self, title: str, detail: str = "", hint: str = "", run_id: str = "") -> None:
        super().__init__(title, detail, hint)
        self.run_id = run_id


class HostError(AiconsoleError):
    """A host could not be used."""


class UnknownHostError(HostError):
    """The name is neither in the fleet nor an alias of ssh_config."""


class UnreachableError(HostError):
    """No TCP connection or no SSH handshake: refused, timed out, no route, name not found."""


class HostKeyError(HostError):
    """The host's key is unknown or has changed.

    Attributes:
        fingerprint: SHA256 fingerprint of the key that the host showed.
        changed: True where another key of this host was trusted before.
    """

    def __init__(
        self, title: str, detail: str = "", hint: str = "", *, fingerprint: str, changed: bool
    ) -> None:
        super().__init__(title, detail, hint)
        self.fingerprint = fingerprint
        self.changed = changed


class LoginError(HostError):
    """The host refused every key and password that was offered."""


class SudoError(HostError):
    """The user may not become root: wrong password, or no rule in sudoers."""


class LinkLostError(HostError):
    """The link died while a command ran: whether it finished is unknown."""


class CommandError(AiconsoleError):
    """A command on a host exited with an error."""


class NotFoundError(AiconsoleError):
    """The host knows no run, release or model of that name."""


class BundleError(AiconsoleError):
    """A layer could not be built on the console's machine."""


class ModelError(AiconsoleError):
    """A model file cannot be served: missing, not a GGUF, truncated, or of another digest."""


class TransferError(AiconsoleError):
    """An upload failed on the host's side: disk full, read-only, wrong digest."""


class RunError(AiconsoleError):
    """A run on a host failed; what it had changed was undone."""
